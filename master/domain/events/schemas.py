"""Events, as the API shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import AfterValidator, Field

from master.schemas.base import Limit, Query, Resource, Row
from master.schemas.fields import LocationName, NodeName, StackNamed
from shared.proxies import MAX_BIGINT, Id

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
    "node.database_rolled_back",
    "node.cloned",
    "node.drift_repaired",
    "node.disabled",
    "node.drained",
    "node.emptied",
    "node.enrolled",
    "node.flooded",
    "node.list_held",
    "node.login_restored",
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


class Event(Resource):
    """Something that happened. Details never hold a secret."""

    id: int = Field(description="grows; may be given as `after`")
    at: datetime
    type: str = Field(json_schema_extra={"enum": list(TYPES)})
    node_id: int | None
    proxy_id: int | None
    stack_id: int | None
    location_id: int | None
    details: dict[str, Any]


def event_from_row(row: Row) -> Event:
    """Out of a row of `events`."""
    return Event.model_validate(dict(row))


Loss = Literal["forgotten", "ahead"]


PATTERNS: tuple[str, ...] = (*sorted({f"{type_.partition('.')[0]}.*" for type_ in TYPES}), *TYPES)
"""What may be asked for: all types of a kind, or one."""

SUBJECTS = ("node_id", "proxy_id", "stack_id", "location_id")
"""What an event may be of."""


class EventLike(Protocol):
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
class EventFilter:
    """Which events: of any of these types (none: of all), and of all of these subjects.

    The same as type_matches and webhook_matches in the schema.
    """

    types: frozenset[str]
    subjects: Mapping[str, int]

    def __contains__(self, event: EventLike) -> bool:
        """Whether it is asked for."""
        if self.types and not self.types & {event.type, f"{event.type.partition('.')[0]}.*"}:
            return False
        return all(getattr(event, name) == id_ for name, id_ in self.subjects.items())


def event_pattern(text: str) -> str:
    """A type of event, or all of a kind. Raises ValueError."""
    if text not in PATTERNS:
        raise ValueError(f"there is no such event: one of {', '.join(PATTERNS)}")
    return text


EventPattern = Annotated[str, AfterValidator(event_pattern), Field(json_schema_extra={"enum": list(PATTERNS)})]
EventPatterns = Annotated[
    list[EventPattern],
    Field(max_length=64, description="a type, or all of a kind, as in proxy.*; may be given more than once"),
]
EventId = Annotated[int, Field(ge=0, le=MAX_BIGINT)]


class EventList(Query):
    """Events, oldest first."""

    type: EventPatterns = Field(default_factory=list[str])
    node_id: Id | None = None
    node: NodeName = None
    proxy_id: Id | None = None
    stack_id: Id | None = None
    stack: StackNamed = None
    location_id: Id | None = Field(default=None, description="of the event's node at the time")
    location: LocationName = None
    limit: Limit = Field(default=50, description="of a page; a stream has none")
    after: EventId | None = Field(
        default=None, description="id of the last event known; without it a page begins with the first, a stream now"
    )

    @property
    def choice(self) -> EventFilter:
        """What is asked for."""
        subjects = {name: getattr(self, name) for name in SUBJECTS}
        return EventFilter(frozenset(self.type), {name: id_ for name, id_ in subjects.items() if id_ is not None})


class EventPage(Resource):
    """Events, oldest first; `next` goes into `after`, null when there is no more as yet (ids serve as well)."""

    items: list[Event]
    next: int | None
    reset: Loss | None = Field(
        description="why events after `after` are missing: older than what is kept, or the database went back"
    )
