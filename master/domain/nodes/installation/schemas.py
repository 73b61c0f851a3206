"""The resource of the line that installs a node."""

from pydantic import ConfigDict, Field

from master.schemas.base import Query, Resource


class InstallCommandQuery(Query):
    """How a node is installed."""

    user: bool = Field(
        False, description="Install for the user who runs the line, without root: in their home, with a user unit."
    )


class InstallCommand(Resource):
    """The line to paste into a shell on a host. It pins the script by its hash, and the script pins the bundle."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "command": 'f=$(mktemp) && { curl -fsSL http://192.0.2.1:3007/install.sh -o "$f" || '
                    'wget -qO "$f" http://192.0.2.1:3007/install.sh; } && echo "<sha256>  $f" | sha256sum -c - && '
                    '$(command -v sudo) sh "$f"',
                    "sha256": "0" * 64,
                    "version": "0.2.0",
                    "url": "http://192.0.2.1:3007",
                    "advice": None,
                }
            ]
        }
    )

    command: str | None = Field(description="The line. Hosts have to reach `url`. null: there are no bundles here.")
    sha256: str | None = Field(description="SHA-256 of install.sh, in hexadecimal digits.")
    version: str | None = Field(description="The version that is installed.")
    url: str = Field(description="DOWNLOAD_URL, or else the address that this request was sent to.")
    advice: str | None = Field(description="What to do when `command` is null.")
