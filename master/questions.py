"""The query strings that the API takes: filters, pages and what a change by filter expects."""

import base64
import binascii
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from master.addresses import NodeIp
from master.event_types import PATTERNS, SUBJECTS, Choice
from master.exports import FIELDS, ExportFormat, checked_template
from master.fields import PRINTABLE, Overlap, instant
from master.model.nodes import NodeState
from master.model.proxies import ProxyState
from shared.proxies import MAX_BIGINT, EngineName, Id, Port, Protocol


def said_once(value: object) -> str:
    """The text of a parameter. Raises ValueError for several."""
    if not isinstance(value, str):
        raise ValueError("may be said only once")
    return value


def label_pair(pair: object) -> tuple[str, str]:
    """Out of key:value. Raises ValueError."""
    key, colon, value = pair.partition(":") if isinstance(pair, str) else ("", "", "")
    if not colon or not key:
        raise ValueError("a label is asked for as key:value")
    return key, value


def cursor(*last: int) -> str:
    """The opaque text by which a list goes on after the item with this id, or with these keys."""
    return base64.urlsafe_b64encode(b"after " + b" ".join(b"%d" % key for key in last)).decode().rstrip("=")


def read_cursor(text: str) -> int:
    """The id in a cursor. Raises ValueError."""
    return read_keys(text, 1)[0]


def read_keys(text: str, count: int) -> tuple[int, ...]:
    """So many keys in a cursor. Raises ValueError."""
    try:
        word, *numbers = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).split(b" ")
        keys = tuple(int(number) for number in numbers)
    except (binascii.Error, ValueError) as error:
        raise ValueError("no cursor of this list") from error
    is_known = word == b"after" and len(keys) == count and all(0 <= key <= MAX_BIGINT for key in keys)
    if not is_known or text != cursor(*keys):
        raise ValueError("no cursor of this list")
    return keys


def read_groups(text: str) -> frozenset[str]:
    """What usage is summed up by, out of "proxy,day". Raises ValueError."""
    groups = frozenset(text.split(",")) if text else frozenset[str]()
    if unknown := sorted(groups - {"proxy", "stack", "node", "hour", "day"}):
        raise ValueError(f"usage is not summed up by {unknown[0][:20]!r}: say proxy, stack, node, hour or day")
    if groups >= {"hour", "day"}:
        raise ValueError("by hour or by day, not both")
    return groups


def plain_address(text: str) -> str:
    """A literal address in its canonical spelling, IPv4 as such. Raises ValueError."""
    address = ip_address(text)
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("an address without a scope")
    return str(getattr(address, "ipv4_mapped", None) or address)


Address = Annotated[str, AfterValidator(plain_address)]
Text = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
Template = Annotated[Text, AfterValidator(checked_template)]
LabelPairs = Annotated[
    list[Annotated[tuple[str, str], BeforeValidator(label_pair), WithJsonSchema({"type": "string"})]],
    Field(max_length=16, description="key:value; may be given more than once, all must be there"),
]
Cursor = Annotated[
    Annotated[int, BeforeValidator(read_cursor), BeforeValidator(said_once)],
    Field(description="`next` of the page before", json_schema_extra={"type": "string"}),
]
Limit = Annotated[int, Field(ge=1, le=1000)]
Moment = Annotated[AwareDatetime, AfterValidator(instant)]
Groups = Annotated[
    Annotated[frozenset[str], BeforeValidator(read_groups), BeforeValidator(said_once)],
    Field(
        description="any of proxy, stack, node, and hour or day, with commas between; nothing: one sum of all",
        examples=["proxy,day"],
        json_schema_extra={"type": "string"},
    ),
]
UsageCursor = Annotated[
    Annotated[tuple[int, ...], BeforeValidator(lambda text: read_keys(text, 4)), BeforeValidator(said_once)],
    Field(description="`next` of the page before", json_schema_extra={"type": "string"}),
]


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


class Question(BaseModel):
    """A query string: nothing unknown, numbers and flags out of their text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Labelled(Question):
    """A filter by labels."""

    label: LabelPairs = Field(default_factory=list[tuple[str, str]])


class LocationFilter(Labelled):
    """Which locations."""

    name: Text | None = None
    country: Text | None = None


class NodeFilter(Labelled):
    """Which nodes."""

    location_id: Id | None = None
    state: NodeState | None = None
    online: bool | None = None
    name: Text | None = None
    ip: NodeIp | None = None


class ProxyFilter(Labelled):
    """Which proxies."""

    location_id: Id | None = None
    node_id: Id | None = None
    stack_id: Id | None = None
    protocol: Protocol | None = None
    engine: EngineName | None = None
    enabled: bool | None = None
    state: ProxyState | None = None
    port: Port | None = None
    name: Text | None = None
    username: Text | None = None


class Paging(Question):
    """Which part of a list."""

    limit: Limit = 50
    after: Cursor = 0


class LocationList(LocationFilter, Paging):
    """A page of locations."""


class NodeList(NodeFilter, Paging):
    """A page of nodes."""


class ProxyList(ProxyFilter, Paging):
    """A page of proxies."""


class ProxyExport(ProxyFilter):
    """All proxies that the filter matches, and how they shall be written."""

    format: ExportFormat = "plain"
    template: Template | None = Field(
        default=None,
        description=f"of a line, instead of a format, with any of {', '.join(f'{{{name}}}' for name in FIELDS)}; "
        "braces that stand for themselves are doubled",
        examples=["{host}:{port}:{username}:{password}"],
    )

    @model_validator(mode="after")
    def one_form(self) -> Self:
        """Raises ValueError for two."""
        if self.template is not None and "format" in self.model_fields_set:
            raise ValueError("a format or a template, not both")
        return self


class Fleet(ProxyFilter):
    """All proxies that the filter matches, when there are as many as expected."""

    expect: Annotated[int, Field(ge=0, le=MAX_BIGINT, description="how many the filter is expected to match")]
    all: bool = Field(default=False, description="must be true when there is no filter")


class NodeRemoval(Question):
    """What shall become of the proxies of a node that goes."""

    proxies: Literal["refuse", "move", "delete"] = Field(
        default="refuse",
        description="refuse: the node stays while it has some; move: they go to other nodes, then it goes, too",
    )
    overlap_s: Overlap = Field(default=60, description="with move: former endpoints serve on for so long")


class Rebalancing(Question):
    """Whether a location is really balanced."""

    dry_run: bool = Field(default=False, description="only tell which proxies would move")


class EventList(Question):
    """Events, oldest first."""

    type: EventPatterns = Field(default_factory=list[str])
    node_id: Id | None = None
    proxy_id: Id | None = None
    stack_id: Id | None = None
    location_id: Id | None = Field(default=None, description="of the event's node at the time")
    limit: Limit = Field(default=50, description="of a page; a stream has none")
    after: EventId | None = Field(
        default=None, description="id of the last event known; without it a page begins with the first, a stream now"
    )

    @property
    def choice(self) -> Choice:
        """What is asked for."""
        subjects = {name: getattr(self, name) for name in SUBJECTS}
        return Choice(frozenset(self.type), {name: id_ for name, id_ in subjects.items() if id_ is not None})


class WebhookList(Paging):
    """A page of webhooks."""


class LinkList(Paging):
    """A page of links."""


class LookupList(Paging):
    """A page of those who had an address at a time."""

    ip: Address
    port: Port | None = Field(default=None, description="of an endpoint; without it exit addresses are looked up")
    at: Moment | None = Field(default=None, description="now when none is given")


class UsageList(Question):
    """A page of sums of what proxies were used for."""

    by: Groups = frozenset()
    since: Moment | None = Field(default=None, alias="from", description="hours that begin then or later")
    until: Moment | None = Field(default=None, alias="to", description="hours that begin before")
    proxy_id: Id | None = None
    node_id: Id | None = None
    stack_id: Id | None = None
    location_id: Id | None = Field(default=None, description="in which the node was at the time")
    limit: Limit = 50
    after: UsageCursor = (-1, 0, 0, 0)

    @property
    def span(self) -> str | None:
        """The length of time that a sum is over, when they are summed up by time."""
        return next((span for span in ("hour", "day") if span in self.by), None)


def criteria(question: Labelled, kind: type[Labelled]) -> dict[str, Any]:
    """The filter that `kind` names, as parameters of a query."""
    plain = {name: getattr(question, name) for name in kind.model_fields if name != "label"}
    return {**plain, "labels": [{key: value} for key, value in question.label]}


def is_unfiltered(question: Fleet) -> bool:
    """Whether nothing at all is filtered by."""
    return not any(value not in (None, []) for value in criteria(question, ProxyFilter).values())
