"""Rotations, as the API shows them."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from master.domain.proxies.options import RotationPart, RotationParts
from master.domain.proxies.schemas import Proxy
from master.schemas.base import RequestBody, Resource, Row
from master.schemas.fields import NodeIds, NodeNames, Overlap

RotationState = Literal["waiting", "starting", "overlap", "done", "failed"]


class Rotation(Resource):
    """One rotation of a proxy. `overlap`: the new endpoint serves, and the former one until `until`."""

    id: int
    proxy_id: int
    what: list[RotationPart]
    overlap_s: int
    scheduled: bool
    state: RotationState = Field(description="waiting: for its node; starting: the new endpoint is made and probed")
    reason: str | None = Field(description="why it failed; the proxy is as it was then")
    until: datetime | None = Field(description="when the former endpoint ends")
    created_at: datetime
    updated_at: datetime


def rotation_from_row(row: Row) -> Rotation:
    """Out of a row of `rotations`."""
    return Rotation.model_validate(dict(row))


class RotatedProxy(Resource):
    """A rotation and its proxy, as both are now."""

    rotation: Rotation
    proxy: Proxy


class FleetRotation(Resource):
    """The rotations that were begun, one a proxy."""

    matched: int
    rotation_ids: list[int]


class RotateRequest(RequestBody):
    """What of a proxy shall be otherwise, make before break."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"what": ["credentials", "port"], "overlap_s": 30}, {"what": ["node"]}]}
    )

    what: RotationParts
    overlap_s: Overlap = Field(
        default=60, description="the former port, login or node serves on for so long; 0 ends it at once"
    )
    node_ids: NodeIds | None = Field(
        default=None, description="with node: to one of these; to one of the same location when none are named"
    )
    nodes: NodeNames = None
