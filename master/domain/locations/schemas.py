"""Locations, as the API takes and shows them."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from master.schemas.base import LabelFilter, Paging, Query, RequestBody, Resource, Row, Text, omitted
from master.schemas.fields import Country, LabelPatch, Labels, Name, Overlap
from master.schemas.pages import Page


class Location(Resource):
    """A place where nodes stand."""

    id: int
    name: str
    country: str | None = Field(description="ISO 3166-1 alpha-2")
    labels: dict[str, str]
    created_at: datetime
    updated_at: datetime


def location_from_row(row: Row) -> Location:
    """Out of a row of `locations`."""
    return Location.model_validate(dict(row))


class PlannedMove(Resource):
    """A proxy that goes to another node."""

    proxy_id: int
    from_node_id: int
    to_node_id: int
    rotation_id: int | None = Field(
        description="by which it moves, make before break; null: it is in nobody's use and moves at once, or a dry run"
    )


class NodeLoad(Resource):
    """How many proxies a node has."""

    node_id: int
    before: int
    after: int = Field(description="when all of them have moved")


class RebalanceResult(Resource):
    """Which proxies move, and what comes of it on the active nodes that are online."""

    moves: list[PlannedMove]
    nodes: list[NodeLoad]


class LocationFilter(LabelFilter):
    """Which locations."""

    name: Text | None = None
    country: Text | None = None


class LocationList(LocationFilter, Paging):
    """A page of locations."""


class RebalanceQuery(Query):
    """Whether a location is really balanced."""

    dry_run: bool = Field(default=False, description="only tell which proxies would move")


class NewLocation(RequestBody):
    """A location to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Frankfurt", "country": "DE"}]})

    name: Name
    country: Country | None = None
    labels: Labels = Field(default_factory=dict[str, str])


class LocationPatch(RequestBody):
    """What shall be otherwise of a location."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": {"tier": "gold", "old": None}}]})

    name: Name = Field(default_factory=omitted)
    country: Country | None = Field(default_factory=omitted)
    labels: LabelPatch = Field(default_factory=omitted)


class RebalanceRequest(RequestBody):
    """How a location shall be balanced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 30, "max_moves": 50}]})

    overlap_s: Overlap = Field(default=60, description="each former endpoint serves on for so long")
    max_moves: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="at most so many moves")


class LocationPage(Page[Location]):
    """A page of locations, ordered by id."""
