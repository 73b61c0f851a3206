"""What may be asked of a proxy's rotation: on a schedule, or now."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from master.fields import NodeIds, NodeNames, Overlap, distinct
from master.turns import Turn
from master.wishes import Wish, not_given

Turns = Annotated[
    list[Turn],
    Field(
        min_length=1,
        max_length=4,
        description="exit: another declared address, or all sessions forgotten; credentials: user name and password; "
        "port: another one of the node's range; node: another node. Several at once are one change",
    ),
    AfterValidator(distinct),
]


class ScheduleWish(Wish):
    """When and how a proxy is rotated by itself; null takes a member back."""

    every_s: Annotated[int, Field(ge=10, le=31_536_000)] | None = Field(
        default_factory=not_given, description="from one turn to the next"
    )
    jitter_s: Annotated[int, Field(ge=0, le=31_536_000)] | None = Field(
        default_factory=not_given, description="by up to so much each turn comes later, drawn anew each time"
    )
    what: Turns | None = Field(default_factory=not_given)
    overlap_s: Overlap | None = Field(
        default_factory=not_given, description="the former endpoint serves on for so long: 60 s or half of every_s"
    )


class RotateWish(Wish):
    """What of a proxy shall be otherwise, make before break."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"what": ["credentials", "port"], "overlap_s": 30}, {"what": ["node"]}]}
    )

    what: Turns
    overlap_s: Overlap = Field(
        default=60, description="the former port, login or node serves on for so long; 0 ends it at once"
    )
    node_ids: NodeIds | None = Field(
        default=None, description="with node: to one of these; to one of the same location when none are named"
    )
    nodes: NodeNames = None
