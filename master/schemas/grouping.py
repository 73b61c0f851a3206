"""`by` of counts: the members and labels by which things are counted. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from master.schemas.base import Resource, Row, single_value
from master.schemas.similar_names import likely

MOST_GROUPS = 3
MOST_COUNTS = 1000
MOST_LETTERS = 255
LABEL = "label:"
G = TypeVar("G", bound=Resource)
GroupLimit = Annotated[int, Field(ge=1, le=MOST_COUNTS, description="The most groups to return, the largest first.")]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The members and the keys of labels by which things are counted."""

    members: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()

    def parameters(self, known: Sequence[str]) -> dict[str, Any]:
        """Return the parameters of a statement: `by_state` and so on, and the keys as `label_1`, ..."""
        by: dict[str, Any] = {f"by_{name}": name in self.members for name in known}
        keys = dict(enumerate(self.keys, 1))
        for place in range(1, MOST_GROUPS + 1):
            by |= {f"by_label_{place}": place in keys, f"label_{place}": keys.get(place)}
        return by

    def labels(self, row: Row) -> dict[str, str | None]:
        """Return the values of the labels in a row of that statement."""
        return {key: row[f"label_{place}"] for place, key in enumerate(self.keys, 1)}

    def __bool__(self) -> bool:
        return bool(self.members or self.keys)


def group_from_row(kind: type[G], row: Row, by: Grouping) -> G:
    """Make a group out of a row of the statement that counts. `kind` has a member `labels`."""
    plain = {name: row[name] for name in kind.model_fields if name != "labels"}
    return kind.model_validate({**plain, "labels": by.labels(row)})


def read_grouping(text: str, known: Sequence[str]) -> Grouping:
    """Read groups such as "state,label:customer". Raises ValueError."""
    groups = list(dict.fromkeys(text.split(",")))
    keys = tuple(group.removeprefix(LABEL) for group in groups if group.startswith(LABEL))
    members = frozenset(group for group in groups if not group.startswith(LABEL))
    if len(text) > MOST_LETTERS or len(groups) > MOST_GROUPS:
        raise ValueError(f"at most {MOST_GROUPS} groups")
    if "" in keys:
        raise ValueError("a label is named by its key, for example label:customer")
    if unknown := sorted(members - set(known)):
        near = likely(unknown[0], known)
        question = f" did you mean {near}?" if near else ""
        raise ValueError(f"there is no group {unknown[0][:20]!r};{question} known: {', '.join(known)}, label:KEY")
    return Grouping(members, keys)


@dataclass(frozen=True, slots=True)
class GroupsOf:
    """Marks a `by` that names some of these members, or labels."""

    known: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the text."""
        return core_schema.no_info_plain_validator_function(lambda text: read_grouping(single_value(text), self.known))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the text."""
        return {"type": "string", "examples": [",".join(self.known[:2])]}


def no_groups(known: Sequence[str]) -> Any:
    """Describe a `by` without groups by default."""
    names = ", ".join(f"`{name}`" for name in known)
    return Field(
        default_factory=Grouping,
        description=f"The groups to count: at most {MOST_GROUPS} of {names} and `label:KEY`, with commas between. "
        "Without it there is only the total.",
    )
