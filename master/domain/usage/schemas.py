"""The queries and resources of usage."""

import base64
import binascii
import json
from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator

from master.schemas.base import Limit, Query, Resource, single_value
from master.schemas.fields import Name
from master.schemas.filters import NOT, LabelTerm, LabelTerms, Many, any_of
from master.schemas.pages import Page
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import MAX_BIGINT, Id

GROUPS = ("proxy", "stack", "node", "location", "hour", "day")
LABEL = "label:"
NOT_OURS = "no cursor of this list"


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
                    "location_id": None,
                    "labels": None,
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
    location_id: int | None = Field(description="The location in which the node was at the time.")
    labels: dict[str, str | None] | None = Field(
        description="The label that it is grouped by, as a proxy has it now, or had it when it was removed. The value "
        "null stands for proxies without this label."
    )
    received_bytes: int = Field(description="Bytes received from clients.")
    sent_bytes: int = Field(description="Bytes sent to clients.")
    connections: int = Field(description="The number of connections.")
    refused: dict[str, int] = Field(description="The numbers of refused connections, by reason.")


def read_groups(text: str) -> frozenset[str]:
    """Read the groups out of a text such as "proxy,day" or "label:customer". Raises ValueError."""
    groups = frozenset(text.split(",")) if text else frozenset[str]()
    plain = {group for group in groups if not group.startswith(LABEL)}
    if unknown := sorted(plain - set(GROUPS)):
        raise ValueError(f"usage is not summed up by {unknown[0][:20]!r}: say {', '.join(GROUPS)} or label:KEY")
    if groups >= {"hour", "day"}:
        raise ValueError("by hour or by day, not both")
    if LABEL in groups or len(groups) - len(plain) > 1:
        raise ValueError("by one label at most, written label:KEY, for example label:customer")
    return groups


Groups = Annotated[
    Annotated[
        frozenset[str],
        BeforeValidator(read_groups),
        BeforeValidator(single_value),
        WithJsonSchema({"type": "string", "examples": ["proxy,day", "label:customer"]}),
    ],
    Field(
        description="The groups of the sums: any of `proxy`, `stack`, `node`, `location`, `label:KEY` (one key), and "
        "`hour` or `day`, with commas between. Without it there is one sum of all.",
    ),
]


class SumKeys(NamedTuple):
    """The keys of a sum, in the order of the list, each 0 or empty where it is not grouped by.

    `label` is "=" and the value, so that it differs from no label.
    """

    began_s: int
    stack: int
    proxy: int
    node: int
    location: int
    label: str


FIRST = SumKeys(-1, 0, 0, 0, 0, "")
"""Before every sum."""


def sum_cursor(keys: SumKeys) -> str:
    """Return the cursor after the sum with these keys."""
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


def read_sum_cursor(text: str) -> SumKeys:
    """Read a cursor. Raises ValueError."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        keys = SumKeys(*found)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise ValueError(NOT_OURS) from error
    numbers = cast("list[object]", found)[:-1]
    is_known = all(type(number) is int and 0 <= number <= MAX_BIGINT for number in numbers)
    if not is_known or not isinstance(found[-1], str) or "\0" in keys.label or text != sum_cursor(keys):
        raise ValueError(NOT_OURS)
    return keys


UsageCursor = Annotated[
    Annotated[
        SumKeys,
        BeforeValidator(read_sum_cursor),
        BeforeValidator(single_value),
        WithJsonSchema({"type": "string"}),
    ],
    Field(
        description="The `next` of the previous page. Without it the list begins at the first sum. It cannot be "
        "combined with `sort`."
    ),
]


class UsageList(Query):
    """A page of sums."""

    by: Groups = Field(default_factory=frozenset[str])
    since: LenientTimestamp | None = Field(
        default=None, alias="from", description="Only hours that begin at this time or later."
    )
    until: LenientTimestamp | None = Field(
        default=None, alias="to", description="Only hours that begin before this time."
    )
    proxy_id: Many[Id] = any_of("Only usage of this proxy.")
    node_id: Many[Id] = any_of("Only usage on this node.")
    node: Many[Name] = any_of("The name of the node, instead of `node_id`.")
    stack_id: Many[Id] = any_of("Only usage of this stack.")
    stack: Many[Name] = any_of("The name of the stack, instead of `stack_id`.")
    location_id: Many[Id] = any_of("Only usage on nodes that were in this location at the time.")
    location: Many[Name] = any_of("The name of the location, instead of `location_id`.")
    label: LabelTerms = Field(
        default_factory=list[LabelTerm],
        description="Only usage of proxies that have this label now, or had it when they were removed: `key:value`, or "
        "`key` for any value. It may be repeated; all of the labels must be present.",
    )
    not_label: LabelTerms = Field(
        default_factory=list[LabelTerm],
        alias=f"{NOT}label",
        description="Only usage of proxies without this label: `key:value`, or `key` for any value. It may be "
        "repeated; none of the labels may be present.",
    )
    sort: Literal["-bytes"] | None = Field(
        default=None,
        description="`-bytes`: the sums with the most bytes, received and sent, in descending order. There are `limit` "
        "of them at most and no further page. Default: by time, then by ids.",
    )
    limit: Limit = 50
    after: UsageCursor = Field(default_factory=lambda: FIRST)

    @field_validator("after")
    @classmethod
    def of_pages(cls, after: SumKeys, info: ValidationInfo) -> SumKeys:
        """Raises ValueError for a sorted list, which has no further page."""
        if info.data.get("sort") is not None:
            raise ValueError("a list with sort=-bytes has one page: raise limit instead")
        return after

    @property
    def span(self) -> str | None:
        """The length of time of a sum, if sums are grouped by time."""
        return next((span for span in ("hour", "day") if span in self.by), None)

    @property
    def label_key(self) -> str | None:
        """The key of the label that sums are grouped by, if they are."""
        return next((group.removeprefix(LABEL) for group in self.by if group.startswith(LABEL)), None)


class UsagePage(Page[UsageSum]):
    """A page of sums of usage."""
