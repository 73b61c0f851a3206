"""The queries and resources of events.

Longer than most modules because the closed list of the types of events stands here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import AfterValidator, ConfigDict, Field

from master.schemas.base import Limit, Query, Resource, Row, Text
from master.schemas.fields import LocationName, NodeName, StackNamed
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import MAX_BIGINT, Id

EventType = Literal[
    "broker.move_aborted",
    "broker.move_finished",
    "broker.move_started",
    "invitation.created",
    "invitation.removed",
    "invitation.used",
    "license.expired",
    "license.expiring",
    "license.grace_over",
    "license.installed",
    "link.created",
    "link.deleted",
    "location.created",
    "location.deleted",
    "location.rebalanced",
    "location.updated",
    "message.parked",
    "message.refused",
    "node.activated",
    "node.broker_move_failed",
    "node.broker_moved",
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
    "node.upgrade_failed",
    "node.upgraded",
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
    "proxy.running",
    "proxy.updated",
    "stack.created",
    "stack.deleted",
    "stack.scaled",
    "stack.updated",
    "token.created",
    "token.revoked",
    "token.updated",
    "upgrade.aborted",
    "upgrade.finished",
    "upgrade.halted",
    "upgrade.paused",
    "upgrade.resumed",
    "upgrade.started",
    "usage.threshold",
]

TYPES: tuple[str, ...] = get_args(EventType)


class Event(Resource):
    """Something that happened. Its details never hold a secret."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 42,
                    "at": "2026-05-01T09:30:00Z",
                    "type": "proxy.created",
                    "node_id": 1,
                    "proxy_id": 17,
                    "stack_id": None,
                    "location_id": 1,
                    "actor": "api",
                    "request_id": "order-4711",
                    "details": {"port": 20000},
                }
            ]
        }
    )

    id: int = Field(description="Grows from event to event. It may be given as `after`.")
    at: datetime = Field(description="The time of the event.")
    type: str = Field(json_schema_extra={"enum": list(TYPES)})
    node_id: int | None
    proxy_id: int | None
    stack_id: int | None
    location_id: int | None
    actor: str = Field(
        description="Who caused it: `token shop` (the token of this name), `api` (a request without a token), "
        "`command line` (an operator at a master), `schedule` (a rotation that was due), `node 7` (a report of that "
        "node), `link 3` (whoever used that link), `invitation 2` (a node that enrolled itself by it), or `master` "
        "(everything else, such as drains and housekeeping)."
    )
    request_id: str | None = Field(
        description="The `X-Request-Id` of the request that caused it, also for the later steps of a rotation."
    )
    details: dict[str, Any] = Field(description="Further facts, which depend on the type.")


def event_from_row(row: Row) -> Event:
    """Make an event out of a row of `events`."""
    return Event.model_validate(dict(row))


Loss = Literal["forgotten", "ahead"]


PATTERNS: tuple[str, ...] = (*sorted({f"{type_.partition('.')[0]}.*" for type_ in TYPES}), *TYPES)
"""The patterns that a filter may name: all types of a kind, or one type."""

SUBJECTS = ("node_id", "proxy_id", "stack_id", "location_id")
"""The members that name the subjects of an event."""
FILTERED = ("request_id", "proxy_id", "stack_id", "node_id", "location_id", "actor")
"""The members that a filter compares, besides the type; members that few events share come first."""


class EventLike(Protocol):
    """The members of an event that a filter reads."""

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
    @property
    def actor(self) -> str: ...
    @property
    def request_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A filter of events: of any of these types (none: of all), and with all of these values of FILTERED members.

    The same as type_matches and webhook_matches in the schema.
    """

    types: frozenset[str]
    members: Mapping[str, int | str]

    def __contains__(self, event: EventLike) -> bool:
        """Whether the event matches."""
        if self.types and not self.types & {event.type, kind_of(event.type)}:
            return False
        return all(getattr(event, name) == value for name, value in self.members.items())

    @property
    def is_open(self) -> bool:
        """Whether every event matches."""
        return not self.types and not self.members

    @property
    def exact_types(self) -> list[str]:
        """Return the types that match. Empty: all."""
        return [type_ for type_ in TYPES if self.types & {type_, kind_of(type_)}]

    @property
    def along(self) -> str:
        """Return the member along whose index the log is read: the one that the fewest events are likely to share."""
        names = [name for name in FILTERED if name in self.members]
        if self.types and names in ([], ["actor"]):
            return "type"
        return names[0] if names else "id"


def kind_of(type_: str) -> str:
    """Return the pattern of all types of the same kind."""
    return f"{type_.partition('.')[0]}.*"


def event_pattern(text: str) -> str:
    """Return the pattern if it names a type of event, or all of a kind. Raises ValueError."""
    if text not in PATTERNS:
        raise ValueError(f"there is no such event: one of {', '.join(PATTERNS)}")
    return text


EventPattern = Annotated[str, AfterValidator(event_pattern), Field(json_schema_extra={"enum": list(PATTERNS)})]
EventPatterns = Annotated[
    list[EventPattern],
    Field(
        max_length=64,
        description="A type of event, or all of a kind, as in `proxy.*`. It may be repeated. Default: all types.",
    ),
]
EventId = Annotated[int, Field(ge=0, le=MAX_BIGINT)]


EventOrder = Literal["asc", "desc"]
FOLLOWING = ("order", "before", "since", "until")
"""Parameters of pages that a stream does not have: it begins after an event and goes on."""


class EventList(Query):
    """Events, oldest first unless `order` is `desc`."""

    type: EventPatterns = Field(default_factory=list[str])
    node_id: Id | None = Field(default=None, description="Only events of this node.")
    node: NodeName = None
    proxy_id: Id | None = Field(default=None, description="Only events of this proxy.")
    stack_id: Id | None = Field(default=None, description="Only events of this stack.")
    stack: StackNamed = None
    location_id: Id | None = Field(
        default=None, description="Only events of this location, or of nodes that were in it."
    )
    location: LocationName = None
    actor: Text | None = Field(default=None, description="Only events of this actor, as in `api` or `node 7`.")
    request_id: Text | None = Field(default=None, description="Only events that the request with this id caused.")
    limit: Limit = Field(default=50, description="The most events of a page. A stream has no limit.")
    order: EventOrder = Field(default="asc", description="`asc`: oldest first, `desc`: newest first.")
    after: EventId | None = Field(
        default=None,
        description="Only events after the one with this id. Without it a stream begins at the next event.",
    )
    before: EventId | None = Field(default=None, description="Only events before the one with this id.")
    since: LenientTimestamp | None = Field(default=None, description="Only events at this time or later.")
    until: LenientTimestamp | None = Field(default=None, description="Only events before this time.")

    @property
    def choice(self) -> EventFilter:
        """Return the filter."""
        members = {name: getattr(self, name) for name in FILTERED}
        return EventFilter(frozenset(self.type), {name: value for name, value in members.items() if value is not None})


class EventPage(Resource):
    """Events in the order that was requested.

    Pass `next` as `after`, or as `before` with `order=desc`, to get the following page; null means that there is none.
    """

    items: list[Event]
    next: int | None
    reset: Loss | None = Field(
        description="Why events after `after` are missing. `forgotten`: they are older than those that are kept. "
        "`ahead`: the "
        "database was restored. null: none is missing."
    )
