"""The part of the database that a token with a filter is for: its schema and setting, and what refusals name. Pure.

The schemas are made by the migration 0004.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import TypeAdapter

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrowing:
    """A filter as the database knows it. `value` is the label as {key: value}, or the id of the stack or location."""

    kind: Literal["label", "stack", "location"]
    value: dict[str, str] | int

    @classmethod
    def of(cls, filter_: TokenFilter) -> Self:
        """Return the narrowing to the filter of a token."""
        if filter_.stack is not None:
            return cls(kind="stack", value=filter_.stack)
        if filter_.location is not None:
            return cls(kind="location", value=filter_.location)
        key, value = label_term(filter_.label)
        return cls(kind="label", value={key: value or ""})

    @property
    def search_path(self) -> str:
        """Return the schemas in which plain names are looked up."""
        return f"narrowed_{self.kind}, public"

    @property
    def setting(self) -> str:
        """Return the value of the setting that the views read."""
        return json.dumps(self.value)

    @property
    def stored(self) -> dict[str, Any]:
        """Return the form in which a link keeps the narrowing."""
        return {self.kind: self.value}

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that everything inside has."""
        return self.value if isinstance(self.value, dict) else {}

    def __str__(self) -> str:
        """Return the filter in words."""
        value = "".join(f"{key}:{value}" for key, value in self.labels.items()) or self.value
        return f"{self.kind} {value}"


def narrowing_from(stored: dict[str, Any]) -> Narrowing:
    """Return a narrowing that a link has kept."""
    [(kind, value)] = stored.items()
    return STORED.validate_python({"kind": kind, "value": value})


STORED: TypeAdapter[Narrowing] = TypeAdapter(Narrowing)


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
