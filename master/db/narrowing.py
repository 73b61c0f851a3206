"""The part of the database that a token with a filter is for: its schema and setting, and what refusals name. Pure.

The schemas are made by the migration 0004.
"""

import json
from dataclasses import dataclass

from master.errors import (
    EngineMissing,
    ExitMissing,
    Forbidden,
    InsufficientCapacity,
    PortOutsideRange,
    PortTaken,
    RequestRefused,
)
from master.schemas.access import TokenFilter
from master.schemas.filters import label_term

OUTSIDE = "44000"
"""The SQLSTATE of a row that a view's WITH CHECK OPTION refuses."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The filter of a token as the database takes it."""

    filter: TokenFilter

    @property
    def kind(self) -> str:
        """Return `label`, `stack` or `location`."""
        [kind] = self.stored
        return kind

    @property
    def stored(self) -> dict[str, str | int]:
        """Return the filter as links keep it: its one member."""
        return self.filter.model_dump(exclude_none=True)

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that everything inside has."""
        if self.filter.label is None:
            return {}
        key, value = label_term(self.filter.label)
        return {key: value or ""}

    @property
    def search_path(self) -> str:
        """Return the schemas in which plain names are looked up."""
        return f"narrowed_{self.kind}, public"

    @property
    def setting(self) -> str:
        """Return the setting that the views read: the labels, or the id of the stack or location."""
        return json.dumps(self.labels or self.stored[self.kind])

    def __str__(self) -> str:
        """Return the filter in words."""
        return f"{self.kind} {self.stored[self.kind]}"


def outside(narrowing: Narrowing) -> Forbidden:
    """Return the refusal of a write that would make or leave something outside of the filter."""
    return Forbidden(f"this would not belong to the filter of the token, {narrowing}")


def discreet(error: RequestRefused) -> RequestRefused:
    """Return the refusal without nodes and proxies that need not belong to the filter of the token."""
    match error:
        case PortTaken():
            port = error.members["port"]
            return PortTaken(f"port {port} is taken", {"port": port})
        case PortOutsideRange():
            port = error.members["port"]
            return PortOutsideRange(f"port {port} is outside the range of the node", {"port": port})
        case InsufficientCapacity():
            return InsufficientCapacity(
                f"only {error.members['possible']} of {error.members['wanted']} proxies fit",
                {**error.members, "by_node": []},
            )
        case ExitMissing():
            return ExitMissing("connections cannot leave by this exit there", {"nodes": []})
        case EngineMissing():
            engine = error.members["engine"]
            return EngineMissing(f"there is no engine {engine} there", {"node_ids": [], "engine": engine})
        case _:
            return error
