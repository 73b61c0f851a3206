"""Sums of what was used, as the API shows them."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from master.schemas.base import Limit, Query, Resource, single_value
from master.schemas.cursors import read_keys
from master.schemas.fields import LocationName, NodeName, StackNamed
from master.schemas.pages import Page
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import Id


class UsageSum(Resource):
    """What was used in all; the members that it is not summed up by are null."""

    hour: datetime | None = Field(description="in which; days more than 90 days ago stand at their midnight (UTC)")
    day: date | None = Field(description="in which (UTC)")
    proxy_id: int | None = Field(description="proxies that are no more keep their usage")
    proxy_name: str | None
    node_id: int | None
    stack_id: int | None = Field(description="stacks that are no more keep their usage")
    received_bytes: int = Field(description="from clients")
    sent_bytes: int = Field(description="to clients")
    connections: int
    refused: dict[str, int] = Field(description="connections that were refused, by reason")


def read_groups(text: str) -> frozenset[str]:
    """What usage is summed up by, out of "proxy,day". Raises ValueError."""
    groups = frozenset(text.split(",")) if text else frozenset[str]()
    if unknown := sorted(groups - {"proxy", "stack", "node", "hour", "day"}):
        raise ValueError(f"usage is not summed up by {unknown[0][:20]!r}: say proxy, stack, node, hour or day")
    if groups >= {"hour", "day"}:
        raise ValueError("by hour or by day, not both")
    return groups


Groups = Annotated[
    Annotated[
        frozenset[str],
        BeforeValidator(read_groups),
        BeforeValidator(single_value),
        WithJsonSchema({"type": "string", "examples": ["proxy,day"]}),
    ],
    Field(
        description="any of proxy, stack, node, and hour or day, with commas between; without it one sum of all",
    ),
]
UsageCursor = Annotated[
    Annotated[
        tuple[int, ...],
        BeforeValidator(lambda text: read_keys(text, 4)),
        BeforeValidator(single_value),
        WithJsonSchema({"type": "string"}),
    ],
    Field(description="`next` of the page before; without it the list begins with the first"),
]


FIRST = (-1, 0, 0, 0)
"""Comes before every sum."""


class UsageList(Query):
    """A page of sums of what proxies were used for."""

    by: Groups = Field(default_factory=frozenset[str])
    since: LenientTimestamp | None = Field(default=None, alias="from", description="hours that begin then or later")
    until: LenientTimestamp | None = Field(default=None, alias="to", description="hours that begin before")
    proxy_id: Id | None = None
    node_id: Id | None = None
    node: NodeName = None
    stack_id: Id | None = None
    stack: StackNamed = None
    location_id: Id | None = Field(default=None, description="in which the node was at the time")
    location: LocationName = None
    limit: Limit = 50
    after: UsageCursor = Field(default_factory=lambda: FIRST)

    @property
    def span(self) -> str | None:
        """The length of time that a sum is over, when they are summed up by time."""
        return next((span for span in ("hour", "day") if span in self.by), None)


class UsagePage(Page[UsageSum]):
    """A page of usage rows."""
