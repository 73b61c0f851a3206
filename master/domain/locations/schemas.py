"""The bodies, queries and resources of locations."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from master.schemas.base import Query, RequestBody, Resource, Row, Text, omitted
from master.schemas.fields import Country, LabelPatch, Labels, Name, Overlap
from master.schemas.filters import LabelFilter, Many, any_of, none_of
from master.schemas.pages import Page
from master.schemas.sorting import Sort, Sorted


class Location(Resource):
    """A place where nodes stand."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 1,
                    "name": "Frankfurt",
                    "country": "DE",
                    "labels": {"tier": "gold"},
                    "created_at": "2026-05-01T09:30:00Z",
                    "updated_at": "2026-05-01T09:30:00Z",
                }
            ]
        }
    )

    id: int
    name: str = Field(description="Unique among locations.")
    country: str | None = Field(description="The country code, as in ISO 3166-1 alpha-2.")
    labels: dict[str, str] = Field(description="Texts of your choice by name, to filter by.")
    created_at: datetime
    updated_at: datetime


def location_from_row(row: Row) -> Location:
    """Make a location out of a row of `locations`."""
    return Location.model_validate({name: row[name] for name in Location.model_fields})


class PlannedMove(Resource):
    """A proxy that moves to another node."""

    proxy_id: int
    from_node_id: int
    to_node_id: int
    rotation_id: int | None = Field(
        description="The rotation that moves the proxy, make-before-break. null: the proxy is not in use and moves at "
        "once, "
        "or this is a dry run."
    )


class NodeBalance(Resource):
    """The number of proxies of a node."""

    node_id: int
    before: int = Field(description="The number of its proxies now.")
    after: int = Field(description="The number of its proxies when all moves are done.")


class RebalanceResult(Resource):
    """The moves of a rebalance, and the number of proxies before and after on each active node that is online."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "moves": [{"proxy_id": 17, "from_node_id": 1, "to_node_id": 2, "rotation_id": 5}],
                    "nodes": [{"node_id": 1, "before": 3, "after": 2}, {"node_id": 2, "before": 1, "after": 2}],
                }
            ]
        }
    )

    moves: list[PlannedMove]
    nodes: list[NodeBalance]


class LocationFilter(LabelFilter):
    """A filter of locations."""

    name: Many[Text] = any_of("Only the location with this name.")
    country: Many[Text] = any_of("Only locations in this country, as in ISO 3166-1 alpha-2.")
    not_name: Many[Text] = none_of("name")
    not_country: Many[Text] = none_of("country")


class LocationList(Sorted[Sort], LocationFilter):
    """A page of locations."""


class RebalanceQuery(Query):
    """The parameters of a rebalance."""

    dry_run: bool = Field(
        default=False, description="If true, nothing moves, and the answer lists the moves that the request would make."
    )


class NewLocation(RequestBody):
    """A location to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Frankfurt", "country": "DE"}]})

    name: Name
    country: Country | None = None
    labels: Labels = Field(default_factory=dict[str, str])


class LocationPatch(RequestBody):
    """A change of a location; omitted members stay as they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": {"tier": "gold", "old": None}}]})

    name: Name = Field(default_factory=omitted)
    country: Country | None = Field(default_factory=omitted)
    labels: LabelPatch = Field(default_factory=omitted)


class RebalanceRequest(RequestBody):
    """The options of a rebalance."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 30, "max_moves": 50}]})

    overlap_s: Overlap = Field(default=60, description="Seconds for which each former endpoint continues to serve.")
    max_moves: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="The most proxies to move.")


class LocationPage(Page[Location]):
    """A page of locations."""
