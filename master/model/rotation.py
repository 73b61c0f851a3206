"""Rotations, as the API shows them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from master.model import Row, Shown
from master.turns import Turn

RotationState = Literal["waiting", "starting", "overlap", "done", "failed"]


class Rotation(Shown):
    """One rotation of a proxy. `overlap`: the new endpoint serves, and the former one until `until`."""

    id: int
    proxy_id: int
    what: list[Turn]
    overlap_s: int
    scheduled: bool
    state: RotationState = Field(description="waiting: for its node; starting: the new endpoint is made and probed")
    reason: str | None = Field(description="why it failed; the proxy is as it was then")
    until: datetime | None = Field(description="when the former endpoint ends")
    created_at: datetime
    updated_at: datetime


def shown_rotation(row: Row) -> Rotation:
    """Out of a row of `rotations`."""
    return Rotation.model_validate(dict(row))
