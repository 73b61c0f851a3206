"""What kinds of events there are, and which of them a reader asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

EventType = Literal[
    "link.created",
    "link.deleted",
    "location.created",
    "location.deleted",
    "location.rebalanced",
    "location.updated",
    "message.parked",
    "message.refused",
    "node.activated",
    "node.ahead_of_database",
    "node.cloned",
    "node.content_differed",
    "node.disabled",
    "node.drained",
    "node.emptied",
    "node.enrolled",
    "node.flooded",
    "node.list_held",
    "node.login_made_anew",
    "node.moving",
    "node.offline",
    "node.online",
    "node.recovered",
    "node.refused_cluster",
    "node.removed",
    "node.replaced",
    "node.troubled",
    "node.updated",
    "proxy.created",
    "proxy.deleted",
    "proxy.expired",
    "proxy.failed",
    "proxy.limited",
    "proxy.move_failed",
    "proxy.moved",
    "proxy.recovered",
    "proxy.rotated",
    "proxy.rotation_begun",
    "proxy.rotation_ended",
    "proxy.rotation_failed",
    "proxy.updated",
    "stack.created",
    "stack.deleted",
    "stack.scaled",
    "stack.updated",
    "usage.threshold",
]

TYPES: tuple[str, ...] = get_args(EventType)
PATTERNS: tuple[str, ...] = (*sorted({f"{type_.partition('.')[0]}.*" for type_ in TYPES}), *TYPES)
"""What may be asked for: all types of a kind, or one."""

SUBJECTS = ("node_id", "proxy_id", "stack_id", "location_id")
"""What an event may be of."""


class Happened(Protocol):
    """As much of an event as a choice looks at."""

    @property
    def type(self) -> str: ...
    @property
    def node_id(self) -> int | None: ...
    @property
    def proxy_id(self) -> int | None: ...
    @property
    def stack_id(self) -> int | None: ...
    @property
    def location_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events: of any of these types (none: of all), and of all of these subjects.

    The same as is_type and is_wanted_by in the schema.
    """

    types: frozenset[str]
    subjects: Mapping[str, int]

    def __contains__(self, event: Happened) -> bool:
        """Whether it is asked for."""
        if self.types and not self.types & {event.type, f"{event.type.partition('.')[0]}.*"}:
            return False
        return all(getattr(event, name) == id_ for name, id_ in self.subjects.items())
