"""What a stack is: the bodies that say so, and how it is shown."""

from datetime import datetime
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from master.domain.proxies.schemas import FleetPatch, ProxyOptions, ProxyState
from master.placement.spread import Spread
from master.schemas.base import DescribedAs, LabelFilter, Paging, RequestBody, Resource, Row, Text, omitted
from master.schemas.fields import LabelPatch, Labels, LocationNames, Name, NodeNames, distinct
from master.schemas.pages import Page
from shared.proxies import Id

MOST_PROXIES = 10_000
"""Of one stack: they are made in one transaction."""

SPREAD_WORDS = (
    "nodes: evenly over the nodes; locations: evenly over the locations, then over the nodes of each; pack: on as few "
    "nodes as will do, the fullest first. It concerns proxies that are made from now on"
)
PLACES_WORDS = "of proxies that are made from now on; those that there are stay where they are"
EXAMPLES: list[dict[str, JsonValue]] = [
    {"count": 20, "proxy": {"location_id": 1, "labels": {"customer": "7"}}},
    {"count": 300, "proxy": {"location_ids": [1, 2], "limits": {"connections": 50}}, "spread": "locations"},
]


def addressable(name: str) -> str:
    """The name, if it can stand in a path. Raises ValueError."""
    if "/" in name or name in (".", ".."):
        raise ValueError("a stack's name stands in paths: it has no slash and is not just dots")
    return name


def ordered(ids: list[Any]) -> list[Any]:
    """Each once; their order says nothing."""
    return sorted(set(ids))


StackName = Annotated[Name, AfterValidator(addressable)]
ProxyCount = Annotated[int, Field(ge=0, le=MOST_PROXIES, description="how many proxies there shall be")]
StackPlaces = Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(ordered)]
Removed = Annotated[list[Id], Field(max_length=MOST_PROXIES), AfterValidator(distinct)]


class StackProxy(ProxyOptions):
    """What the proxies of a stack shall be like, and where they may be.

    On nodes of these locations, or on these nodes, or on those that are both. A user name and a password that are said
    here are shared by all; otherwise each proxy has its own.
    """

    location_id: Id | None = Field(default=None, description="short for location_ids with this one")
    location_ids: StackPlaces | None = None
    locations: LocationNames = None
    node_ids: StackPlaces | None = None

    @model_validator(mode="after")
    def says_locations_once(self) -> Self:
        """Raises ValueError."""
        return given_once(self)


class StackProxyPatch(FleetPatch):
    """What shall be otherwise of a stack's proxies; where they may be concerns those that are made from now on."""

    location_id: Id = Field(default_factory=omitted, description="short for location_ids with this one")
    location: Name = Field(default_factory=omitted, description="name of the location, instead of location_id")
    location_ids: StackPlaces | None = Field(default_factory=omitted, description=PLACES_WORDS)
    locations: LocationNames = Field(default_factory=omitted)
    node_ids: StackPlaces | None = Field(default_factory=omitted, description=PLACES_WORDS)
    nodes: NodeNames = Field(default_factory=omitted)

    @model_validator(mode="after")
    def says_locations_once(self) -> Self:
        """Raises ValueError."""
        return given_once(self)


GivenOnce = TypeVar("GivenOnce", StackProxy, StackProxyPatch)


def given_once(said: GivenOnce) -> GivenOnce:
    """The same. Raises ValueError."""
    one = said.location_id is not None or said.location is not None
    if one and (said.location_ids is not None or said.locations is not None):
        raise ValueError("one location or several, not both")
    return said


class NamedStack(RequestBody):
    """A stack as it shall be, whatever it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [*EXAMPLES]})

    name: StackName | None = Field(default=None, description="that of the path, if it is said at all")
    count: ProxyCount
    proxy: StackProxy
    spread: Spread = Field(default="nodes", description=SPREAD_WORDS)
    labels: Labels = Field(default_factory=dict[str, str])


class NewStack(NamedStack):
    """A stack to be made: so many proxies out of one template, all of them or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "shop", **one} for one in EXAMPLES]})

    name: StackName  # type: ignore[assignment] # must be said here


class StackPatch(RequestBody):
    """What shall be otherwise of a stack."""

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
        description="ids of proxies that go before any other; without a count so many fewer are wanted, with one they "
        "are made up for",
    )
    proxy: StackProxyPatch = Field(default_factory=omitted)
    spread: Spread = Field(default_factory=omitted, description=SPREAD_WORDS)
    labels: LabelPatch = Field(default_factory=omitted)


class StackFilter(LabelFilter):
    """Which stacks."""

    name: Text | None = None


class StackList(StackFilter, Paging):
    """A page of stacks."""


class StackStatus(Resource):
    """How many of the proxies are in which state."""

    running: int
    pending: int
    failed: int
    limited: int
    expired: int
    stopped: int
    unknown: int


class Stack(Resource):
    """Proxies out of one template, kept at a number."""

    id: int
    name: str
    count: int = Field(description="how many proxies are wanted, which is how many there are")
    spread: Spread
    proxy: Annotated[dict[str, Any], DescribedAs(StackProxy)] = Field(
        repr=False,
        description="the template, as it can be said again; without a user name or password each has its own",
    )
    labels: dict[str, str]
    version: int = Field(description="grows with every change of the stack or of how many there are; the ETag")
    status: StackStatus
    created_at: datetime
    updated_at: datetime


def stack(row: Row) -> Stack:
    """Out of a row of `stacks` with its `states`, {"running": 3}."""
    states = dict.fromkeys(get_args(ProxyState), 0) | row["states"]
    columns = {name: row[name] for name in Stack.model_fields if name != "status"}
    template = {name: row["proxy"][name] for name in StackProxy.model_fields if name in row["proxy"]}
    return Stack.model_validate({**columns, "proxy": template, "status": StackStatus.model_validate(states)})


class StackPage(Page[Stack]):
    """A page of stacks, ordered by id."""
