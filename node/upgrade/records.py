"""Files of an upgrade as values: the request, the public state, the journal, and the versions that were rolled back."""

from typing import Annotated, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from shared.messages.bodies import UpgradeRequest
from shared.strict_json import DuplicateMemberError, NotJsonError, check_json
from shared.validation_errors import first_error

Step = Literal["fetching", "verifying", "installing", "flipping", "restarting", "checking", "committing", "undoing"]
"""The steps in their order. Before `flipping` the installed version is untouched. After it, `committing` makes the new
version the installed one, or `undoing` brings the old one back."""
UpgradeProgress = Literal[
    "fetching", "verifying", "installing", "restarting", "checking", "done", "rolled_back", "refused"
]
STATE_OF: dict[Step, UpgradeProgress] = {
    "fetching": "fetching",
    "verifying": "verifying",
    "installing": "installing",
    "flipping": "restarting",
    "restarting": "restarting",
    "checking": "checking",
    "committing": "checking",
    "undoing": "restarting",
}
"""What the public state shows at each step."""
FINAL: tuple[UpgradeProgress, ...] = ("done", "rolled_back", "refused")
REASON_LENGTH = 300
REQUEST_LIMIT = 4096
"""Bytes of a request."""
RECORD_LIMIT = 65_536
"""Bytes of each other file."""
BAD_KEPT = 50
"""Versions that were rolled back which are remembered."""

RecordText = Annotated[str, Field(max_length=200)]


class BadRecord(ValueError):
    """A file does not have the form that it should have."""


class UpgradeRecord(BaseModel):
    """Base of the models. Unknown members are ignored, since a newer version may have written them."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", hide_input_in_errors=True)


class NodeUpgradeState(UpgradeRecord):
    """The last upgrade, or the one under way, for the agent and for people. `at` is a moment in ISO 8601."""

    id: int
    version: RecordText
    before: RecordText = Field(validation_alias=AliasChoices("from", "before"), serialization_alias="from")
    state: UpgradeProgress
    reason: Annotated[str, Field(max_length=REASON_LENGTH)] = ""
    at: RecordText = ""


class Journal(UpgradeRecord):
    """The step of the upgrade under way. It is on disk before the step begins.

    `before` is the version that is installed when it begins. An upgrade by hand has no `request`. `attempts` counts how
    often it was taken up after an interruption. `schema_before` is that of the local copy, None for a node without one.
    `reason` is why the upgrade is being undone.
    """

    version: RecordText
    before: RecordText
    request: UpgradeRequest | None = None
    step: Step = "fetching"
    attempts: int = 0
    reason: str = ""
    schema_before: Annotated[str, Field(max_length=64)] | None = None


class VersionRolledBack(UpgradeRecord):
    """A version that was rolled back: its manifest's checksum, and why."""

    version: RecordText
    manifest: RecordText
    reason: str = ""
    at: RecordText = ""


class BadVersions(UpgradeRecord):
    """All versions that were rolled back."""

    versions: tuple[VersionRolledBack, ...] = ()

    def reason(self, manifest: str) -> str | None:
        """Return why the version of this manifest was rolled back; None for one that never was."""
        return next((each.reason or "no reason" for each in self.versions if each.manifest == manifest), None)

    def with_one(self, bad: VersionRolledBack) -> "BadVersions":
        """Add a version; the oldest are forgotten."""
        others = [each for each in self.versions if each.manifest != bad.manifest]
        return BadVersions(versions=(*others, bad)[-BAD_KEPT:])


RecordT = TypeVar("RecordT", bound=BaseModel)


def parsed(model: type[RecordT], raw: bytes) -> RecordT:
    """Read a file's bytes, strictly. Raises BadRecord, which never quotes them."""
    try:
        check_json(raw)
        return model.model_validate_json(raw)
    except NotJsonError:
        raise BadRecord("it is not JSON") from None
    except DuplicateMemberError:
        raise BadRecord("it has a member twice") from None
    except ValidationError as error:
        raise BadRecord(first_error(error)) from error


def written(record: BaseModel) -> bytes:
    """Return the bytes of a file."""
    return record.model_dump_json(by_alias=True).encode() + b"\n"
