"""What a host needs to become a node by an invitation: variables, a line for its shell, user data for cloud-init."""

from textwrap import indent
from typing import TypedDict

from master.distribution.install_script import install_line
from master.domain.nodes.protocols import InstallSource


class Installation(TypedDict):
    """Members of an invitation that was just created."""

    code: str
    environment: dict[str, str]
    command: str | None
    cloud_init: str | None


def installation(code: str, source: InstallSource) -> Installation:
    """Write the invitation's code in each form in which a host can take it."""
    environment = {"NODE_INVITATION": code, "NODE_MASTER_URL": source.url}
    command = None if source.script is None else install_line(source.url, source.script, environment=environment).text
    return Installation(
        code=code, environment=environment, command=command, cloud_init=None if command is None else user_data(command)
    )


def user_data(command: str) -> str:
    """Write user data for cloud-init that runs the command once, at the first start of a host."""
    return f"#cloud-config\nruncmd:\n  - |\n{indent(command, '    ')}\n"
