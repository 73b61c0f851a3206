"""The bodies and resources of rotations."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from master.domain.proxies.options import RotationPart, RotationParts
from master.domain.proxies.proxy_parts import PROXY
from master.domain.proxies.schemas import Proxy
from master.schemas.base import RequestBody, Resource, Row
from master.schemas.fields import Name, NodeIds, NodeNames, Overlap
from master.schemas.filters import Many, any_of
from master.schemas.pages import Page
from master.schemas.sorting import Sorted
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import Id

ROTATION: dict[str, JsonValue] = {
    "id": 5,
    "proxy_id": 17,
    "what": ["port"],
    "overlap_s": 60,
    "scheduled": False,
    "state": "overlap",
    "reason": None,
    "from_node_id": 1,
    "to_node_id": 1,
    "until": "2026-05-01T10:01:02Z",
    "created_at": "2026-05-01T10:00:00Z",
    "started_at": "2026-05-01T10:00:00Z",
    "probed_at": "2026-05-01T10:00:02Z",
    "switched_at": "2026-05-01T10:00:02Z",
    "ended_at": None,
    "updated_at": "2026-05-01T10:00:02Z",
}
"""An example."""

RotationState = Literal["waiting", "starting", "overlap", "done", "failed"]


class Rotation(Resource):
    """One rotation of a proxy."""

    model_config = ConfigDict(json_schema_extra={"examples": [ROTATION]})

    id: int
    proxy_id: int
    what: list[RotationPart] = Field(description="The parts that change.")
    overlap_s: int = Field(description="Seconds for which the former endpoint continues to serve.")
    scheduled: bool = Field(description="Whether the schedule of the proxy began it.")
    state: RotationState = Field(
        description="`waiting`: for the node. `starting`: the new endpoint is started and probed. `overlap`: both "
        "endpoints serve. `done`: the former endpoint has ended. `failed`: the proxy stays as it was."
    )
    reason: str | None = Field(description="Why it failed.")
    from_node_id: int | None = Field(description="The node of the former endpoint.")
    to_node_id: int | None = Field(description="The node of the new endpoint. null: it is not chosen yet.")
    until: datetime | None = Field(description="The time when the former endpoint ends, during the overlap.")
    created_at: datetime
    started_at: datetime | None = Field(description="The time when the new endpoint was made known to its node.")
    probed_at: datetime | None = Field(description="The time when the probe of the new endpoint succeeded.")
    switched_at: datetime | None = Field(description="The time when the new endpoint became the proxy's own.")
    ended_at: datetime | None = Field(description="The time when the former endpoint ended, or the rotation failed.")
    updated_at: datetime


class RotationList(Sorted[Literal["id", "-id"]]):
    """A page of rotations."""

    proxy_id: Many[Id] = any_of("Only rotations of this proxy.")
    node_id: Many[Id] = any_of("Only rotations from or to an endpoint on this node.")
    node: Many[Name] = any_of("The name of the node, instead of `node_id`.")
    state: Many[RotationState] = any_of("Only rotations in this state.")
    since: LenientTimestamp | None = Field(
        default=None, description="Only rotations that were requested at this time or later."
    )


class RotationPage(Page[Rotation]):
    """A page of rotations."""


def rotation_from_row(row: Row) -> Rotation:
    """Make a rotation out of a row of `rotations`."""
    return Rotation.model_validate(dict(row))


class RotatedProxy(Resource):
    """A rotation and its proxy, as both are now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rotation": ROTATION, "proxy": PROXY}]})

    rotation: Rotation
    proxy: Proxy


class FleetRotation(Resource):
    """The rotations that were begun, one for each proxy."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"matched": 2, "rotation_ids": [5, 6]}]})

    matched: int = Field(description="The number of proxies.")
    rotation_ids: list[int] = Field(description="The ids of the rotations. Follow them at `/rotations/{rotation_id}`.")


class RotateRequest(RequestBody):
    """The parts of a proxy to change, make-before-break."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"what": ["credentials", "port"], "overlap_s": 30}, {"what": ["node"]}]}
    )

    what: RotationParts
    overlap_s: Overlap = Field(
        default=60, description="Seconds for which the former endpoint continues to serve. 0 ends it at once."
    )
    node_ids: NodeIds | None = Field(
        default=None,
        description="With `node`: the nodes to one of which the proxy moves. Default: any node of the same location.",
    )
    nodes: NodeNames = None
