"""The bodies, queries and resources of stacks."""

from datetime import datetime
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from master.domain.proxies.proxy_parts import ProxyState
from master.domain.proxies.schemas import FleetPatch, ProxyOptions
from master.placement.spread import Spread
from master.schemas.base import DescribedAs, RequestBody, Resource, Row, SecretsQuery, Text, omitted
from master.schemas.fields import LabelPatch, Labels, LocationNames, Name, NodeNames, distinct
from master.schemas.filters import LabelFilter, Many, any_of, none_of
from master.schemas.pages import Page
from master.schemas.secrets import WITH_PASSWORD
from master.schemas.sorting import Sort, Sorted
from shared.proxies import Id

MOST_PROXIES = 10_000
"""The most proxies of one stack: they are created in one transaction."""

SPREAD_WORDS = (
    "How new proxies are placed. `nodes`: evenly over the nodes. `locations`: evenly over the locations, then over the "
    "nodes of each. `pack`: on as few nodes as possible, the fullest first. Existing proxies stay where they are."
)
LOCATIONS_WORDS = "The locations in which to place new proxies. Existing proxies stay where they are."
NODES_WORDS = "The nodes on which to place new proxies. Existing proxies stay where they are."
EXAMPLES: list[dict[str, JsonValue]] = [
    {"count": 20, "proxy": {"location_id": 1, "labels": {"customer": "7"}}},
    {"count": 300, "proxy": {"location_ids": [1, 2], "limits": {"connections": 50}}, "spread": "locations"},
]


def addressable(name: str) -> str:
    """Return the name if it can stand in a path. Raises ValueError."""
    if "/" in name or name in (".", ".."):
        raise ValueError("a stack's name stands in paths: it has no slash and is not just dots")
    return name


def ordered(ids: list[Any]) -> list[Any]:
    """Sort the ids, and drop repeated ones: their order has no meaning."""
    return sorted(set(ids))


StackName = Annotated[Name, AfterValidator(addressable)]
ProxyCount = Annotated[int, Field(ge=0, le=MOST_PROXIES, description="The number of proxies.")]
StackPlaces = Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(ordered)]
Removed = Annotated[list[Id], Field(max_length=MOST_PROXIES), AfterValidator(distinct)]


class StackProxy(ProxyOptions):
    """The template of a stack's proxies.

    They are placed on nodes of the locations, or on the named nodes, or on the nodes that are both. A user name and a
    password that are given here are shared by all proxies; otherwise each proxy has its own.
    """

    location_id: Id | None = Field(default=None, description="Short for `location_ids` with this one.")
    location_ids: StackPlaces | None = Field(default=None, description="The locations in which to place the proxies.")
    locations: LocationNames = None
    node_ids: StackPlaces | None = Field(default=None, description="The nodes on which to place the proxies.")

    @model_validator(mode="after")
    def says_locations_once(self) -> Self:
        """Raises ValueError."""
        return given_once(self)


class StackProxyPatch(FleetPatch):
    """A change of a stack's template; omitted members stay as they are. Locations and nodes apply to new proxies "
    "only."""

    location_id: Id = Field(default_factory=omitted, description="Short for `location_ids` with this one.")
    location: Name = Field(default_factory=omitted, description="The name of the location, instead of `location_id`.")
    location_ids: StackPlaces | None = Field(default_factory=omitted, description=LOCATIONS_WORDS)
    locations: LocationNames = Field(default_factory=omitted)
    node_ids: StackPlaces | None = Field(default_factory=omitted, description=NODES_WORDS)
    nodes: NodeNames = Field(default_factory=omitted)

    @model_validator(mode="after")
    def says_locations_once(self) -> Self:
        """Raises ValueError."""
        return given_once(self)


GivenOnce = TypeVar("GivenOnce", StackProxy, StackProxyPatch)


def given_once(said: GivenOnce) -> GivenOnce:
    """Return the template unchanged. Raises ValueError for one location and several."""
    one = said.location_id is not None or said.location is not None
    if one and (said.location_ids is not None or said.locations is not None):
        raise ValueError("one location or several, not both")
    return said


class NamedStack(RequestBody):
    """The desired stack, whatever it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [*EXAMPLES]})

    name: StackName | None = Field(default=None, description="If present, it must be the name in the path.")
    count: ProxyCount
    proxy: StackProxy
    spread: Spread = Field(default="nodes", description=SPREAD_WORDS)
    labels: Labels = Field(default_factory=dict[str, str])


class NewStack(NamedStack):
    """A stack to create: a number of proxies from one template, all of them or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "shop", **one} for one in EXAMPLES]})

    name: StackName  # type: ignore[assignment] # it is required here


class StackPatch(RequestBody):
    """A change of a stack; omitted members stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"count": 50},
                {"remove": [17, 23]},
                {"proxy": {"locations": ["Frankfurt", "Berlin"]}},
                {"proxy": {"limits": {"connections": 100}, "labels": {"tier": "gold"}}},
            ]
        }
    )

    name: StackName = Field(default_factory=omitted)
    count: ProxyCount = Field(default_factory=omitted)
    remove: Removed = Field(
        default_factory=omitted,
        description="The ids of proxies to remove. Without `count` the stack shrinks by their number; with it they are "
        "replaced by new ones as needed.",
    )
    proxy: StackProxyPatch = Field(default_factory=omitted)
    spread: Spread = Field(default_factory=omitted, description=SPREAD_WORDS)
    labels: LabelPatch = Field(default_factory=omitted)


class StackFilter(LabelFilter):
    """A filter of stacks."""

    name: Many[Text] = any_of("Only the stack with this name.")
    not_name: Many[Text] = none_of("name")


class StackList(SecretsQuery, Sorted[Sort], StackFilter):
    """A page of stacks."""


class StackStatus(Resource):
    """The number of proxies in each state."""

    running: int
    pending: int
    failed: int
    limited: int
    expired: int
    stopped: int
    unknown: int


class Stack(Resource):
    """A group of proxies made from one template and kept at a number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 1,
                    "name": "shop",
                    "count": 20,
                    "spread": "nodes",
                    "proxy": {"location_ids": [1], "labels": {"customer": "7"}},
                    "labels": {},
                    "version": 1,
                    "status": {
                        "running": 20,
                        "pending": 0,
                        "failed": 0,
                        "limited": 0,
                        "expired": 0,
                        "stopped": 0,
                        "unknown": 0,
                    },
                    "created_at": "2026-05-01T09:30:00Z",
                    "updated_at": "2026-05-01T09:30:00Z",
                }
            ]
        }
    )

    id: int
    name: str = Field(description="Unique among stacks.")
    count: int = Field(description="The number of proxies.")
    spread: Spread = Field(description=SPREAD_WORDS)
    proxy: Annotated[dict[str, Any], DescribedAs(StackProxy), WITH_PASSWORD] = Field(
        repr=False,
        description="The template, in the form in which it can be sent again. Without a user name or password in it "
        "each proxy "
        "has its own.",
    )
    labels: dict[str, str] = Field(description="Texts of your choice by name, to filter by.")
    version: int = Field(
        description="Grows with every change of the stack or of its number of proxies. It is the ETag."
    )
    status: StackStatus
    created_at: datetime
    updated_at: datetime

    def without_secrets(self) -> Self:
        """Return the stack with null for a password that its proxies share."""
        hidden = {"password": None} if "password" in self.proxy else {}
        return self.model_copy(update={"proxy": {**self.proxy, **hidden}})


def stack(row: Row) -> Stack:
    """Make a stack out of a row of `stacks` with its `states`, such as {"running": 3}."""
    states = dict.fromkeys(get_args(ProxyState), 0) | row["states"]
    columns = {name: row[name] for name in Stack.model_fields if name != "status"}
    template = {name: row["proxy"][name] for name in StackProxy.model_fields if name in row["proxy"]}
    return Stack.model_validate({**columns, "proxy": template, "status": StackStatus.model_validate(states)})


class StackPage(Page[Stack]):
    """A page of stacks."""
