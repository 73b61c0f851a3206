"""The queries and resources of usage."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from master.schemas.base import Limit, Query, Resource, single_value
from master.schemas.cursors import read_keys
from master.schemas.fields import LocationName, NodeName, StackNamed
from master.schemas.pages import Page
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import Id


class UsageSum(Resource):
    """A sum of usage. Members by which it is not grouped are null."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "hour": None,
                    "day": "2026-05-01",
                    "proxy_id": 17,
                    "proxy_name": None,
                    "node_id": None,
                    "stack_id": None,
                    "received_bytes": 51200,
                    "sent_bytes": 1048576,
                    "connections": 12,
                    "refused": {"login": 1},
                }
            ]
        }
    )

    hour: datetime | None = Field(
        description="The hour (UTC). Usage of more than 90 days ago is kept by day and given at midnight."
    )
    day: date | None = Field(description="The day (UTC).")
    proxy_id: int | None = Field(description="The proxy. Removed proxies keep their usage.")
    proxy_name: str | None
    node_id: int | None
    stack_id: int | None = Field(description="The stack. Removed stacks keep their usage.")
    received_bytes: int = Field(description="Bytes received from clients.")
    sent_bytes: int = Field(description="Bytes sent to clients.")
    connections: int = Field(description="The number of connections.")
    refused: dict[str, int] = Field(description="The numbers of refused connections, by reason.")


def read_groups(text: str) -> frozenset[str]:
    """Read the groups out of a text such as "proxy,day". Raises ValueError."""
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
        description="The groups of the sums: any of `proxy`, `stack`, `node`, and `hour` or `day`, with commas "
        "between. Without "
        "it there is one sum of all.",
    ),
]
UsageCursor = Annotated[
    Annotated[
        tuple[int, ...],
        BeforeValidator(lambda text: read_keys(text, 4)),
        BeforeValidator(single_value),
        WithJsonSchema({"type": "string"}),
    ],
    Field(description="The `next` of the previous page. Without it the list begins at the first sum."),
]


FIRST = (-1, 0, 0, 0)
"""The cursor before every sum."""


class UsageList(Query):
    """A page of sums."""

    by: Groups = Field(default_factory=frozenset[str])
    since: LenientTimestamp | None = Field(
        default=None, alias="from", description="Only hours that begin at this time or later."
    )
    until: LenientTimestamp | None = Field(
        default=None, alias="to", description="Only hours that begin before this time."
    )
    proxy_id: Id | None = Field(default=None, description="Only usage of this proxy.")
    node_id: Id | None = Field(default=None, description="Only usage on this node.")
    node: NodeName = None
    stack_id: Id | None = Field(default=None, description="Only usage of this stack.")
    stack: StackNamed = None
    location_id: Id | None = Field(
        default=None, description="Only usage on nodes that were in this location at the time."
    )
    location: LocationName = None
    limit: Limit = 50
    after: UsageCursor = Field(default_factory=lambda: FIRST)

    @property
    def span(self) -> str | None:
        """The length of time of a sum, if sums are grouped by time."""
        return next((span for span in ("hour", "day") if span in self.by), None)


class UsagePage(Page[UsageSum]):
    """A page of sums of usage."""
