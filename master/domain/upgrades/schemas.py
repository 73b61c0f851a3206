"""The bodies, queries and resources of upgrades."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from master.domain.nodes.schemas import NodeFilter
from master.schemas.base import DescribedAs, Query, RequestBody, Resource
from master.schemas.fields import PlainVersion
from master.schemas.filters import Many, any_of
from master.schemas.pages import Page
from master.schemas.sorting import SortById, Sorted
from shared.proxies import Id

FleetUpgradeState = Literal["running", "paused", "halted", "aborted", "done"]
UpgradeNodeState = Literal[
    "waiting",
    "asked",
    "fetching",
    "restarting",
    "soaking",
    "done",
    "rolled_back",
    "failed",
    "unreachable",
    "skipped",
]
RequestedState = Literal["running", "paused", "aborted"]

MOST_NODES = 100_000
MOST_SOAK_S = 7 * 86_400
BATCH = "The most nodes that are under way at a time: a number, or a share of the nodes that take part, as in `10%`."
CANARY = "The number of nodes that are upgraded first, alone; the others follow when as many are done. 0: none is."
SOAK = "Seconds for which each node is watched at the new version before it counts as done."
FAILED = "The most nodes that may fail. One more halts the upgrade: no further node is asked."
NODE_STATES = (
    "`waiting`: for its turn. `asked`: it was sent the request. `fetching`: it downloads and checks the bundle. "
    "`restarting`: its agent starts again, while its proxies continue to serve. `soaking`: it runs the version and is "
    "watched. `done`: it runs the version. `rolled_back`: it went back to its former version. `failed`: it refused, or "
    "came to no end in time. `unreachable`: it is offline, and is asked when it returns. `skipped`: it is left out."
)

Batch = (
    Annotated[int, Field(ge=1, le=MOST_NODES)]
    | Annotated[str, Field(pattern=r"^(100|[1-9][0-9]?)%$", examples=["10%"])]
)
UPGRADE: dict[str, JsonValue] = {
    "id": 3,
    "version": "0.2.0",
    "state": "halted",
    "reason": "1 node failed, and most_failed is 0: node 7 (brave-otter): port 20000 does not accept",
    "filter": {"location_id": [1]},
    "canary": 1,
    "batch": "10%",
    "batch_size": 1,
    "soak_s": 120,
    "most_failed": 0,
    "downgrade": False,
    "counts": {"done": 1, "rolled_back": 1, "waiting": 3},
    "created_at": "2026-05-01T10:00:00Z",
    "updated_at": "2026-05-01T10:05:00Z",
    "ended_at": None,
}
"""An example."""
UPGRADE_NODE: dict[str, JsonValue] = {
    "node_id": 7,
    "name": "brave-otter",
    "place": 2,
    "from_version": "0.1.0",
    "state": "rolled_back",
    "reason": "port 20000 does not accept",
    "at": "2026-05-01T10:05:00Z",
    "steps": [
        {"state": "waiting", "at": "2026-05-01T10:00:00Z"},
        {"state": "asked", "at": "2026-05-01T10:03:40Z"},
        {"state": "fetching", "at": "2026-05-01T10:03:41Z"},
        {"state": "restarting", "at": "2026-05-01T10:04:10Z"},
        {"state": "rolled_back", "at": "2026-05-01T10:05:00Z"},
    ],
}
"""An example."""


class NewUpgrade(RequestBody):
    """An upgrade to start."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {"version": "0.2.0", "filter": {"location": "Frankfurt"}, "canary": 2, "batch": "20%", "soak_s": 600},
            ]
        }
    )

    version: PlainVersion | None = Field(
        default=None, description="The version to install. Default: that of the newest bundles of this master."
    )
    filter: NodeFilter = Field(
        default_factory=NodeFilter,
        description="The nodes, as in the list of nodes. Default: all. Nodes that are enrolled later take no part.",
    )
    canary: Annotated[int, Field(ge=0, le=MOST_NODES)] = Field(default=1, description=CANARY)
    batch: Batch = Field(default="10%", description=BATCH)
    soak_s: Annotated[int, Field(ge=0, le=MOST_SOAK_S)] = Field(default=120, description=SOAK)
    most_failed: Annotated[int, Field(ge=0, le=MOST_NODES)] = Field(default=0, description=FAILED)
    downgrade: bool = Field(
        default=False,
        description="Whether nodes that run a newer version go back to this one. They are skipped if not.",
    )


class UpgradeQuery(Query):
    """The parameters of a new upgrade."""

    dry_run: bool = Field(
        default=False,
        description="If true, nothing is started, and the answer (200) lists the nodes in the order in which they "
        "would be asked, and why others would be skipped.",
    )


class UpgradePatch(RequestBody):
    """A change of an upgrade."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "paused"}]})

    state: RequestedState = Field(
        description="`paused`: no further node is asked. `running`: go on, also after a halt; the failures so far do "
        "not count any more. `aborted`: end the upgrade. Nodes that were asked before come to their end in any case."
    )


class UpgradeTime(Resource):
    """A state of a node, and the time when it began."""

    state: UpgradeNodeState
    at: datetime


class UpgradedNode(Resource):
    """A node of an upgrade."""

    model_config = ConfigDict(json_schema_extra={"examples": [UPGRADE_NODE]})

    node_id: int
    name: str = Field(description="The name of the node when the upgrade started.")
    place: int = Field(description="The place in the order in which nodes are asked, from 1.")
    from_version: str = Field(description="The version of its agent when the upgrade started.")
    state: UpgradeNodeState = Field(description=NODE_STATES)
    reason: str | None = Field(description="Why it is in this state.")
    at: datetime = Field(description="The time when the state began.")
    steps: list[UpgradeTime] = Field(description="Its last states, at most 20, the oldest first.")


class UpgradeSummary(Resource):
    """An upgrade, without its nodes."""

    model_config = ConfigDict(json_schema_extra={"examples": [UPGRADE]})

    id: int
    version: str = Field(description="The version that the nodes install.")
    state: FleetUpgradeState = Field(
        description="`halted`: too many nodes failed. `done`: every node has come to its end, or is unreachable; such "
        "nodes are asked when they return, until another upgrade starts."
    )
    reason: str | None = Field(description="Why it is halted or paused, or why it cannot ask nodes now.")
    filter: Annotated[dict[str, Any], DescribedAs(NodeFilter)] = Field(description="The filter of the request.")
    canary: int = Field(description=CANARY)
    batch: int | str = Field(description=BATCH)
    batch_size: int = Field(description="The number of nodes that `batch` meant when the upgrade started.")
    soak_s: int = Field(description=SOAK)
    most_failed: int = Field(description=FAILED)
    downgrade: bool = Field(description="Whether nodes that run a newer version go back.")
    counts: dict[UpgradeNodeState, int] = Field(description="The number of nodes in each state that any is in.")
    created_at: datetime
    updated_at: datetime = Field(description="The time of the last change of the upgrade or of one of its nodes.")
    ended_at: datetime | None = Field(description="The time when it was done or aborted.")


class Upgrade(UpgradeSummary):
    """An upgrade with its nodes, in the order in which they are asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**UPGRADE, "nodes": [UPGRADE_NODE]}]})

    nodes: list[UpgradedNode]


class PlannedNode(Resource):
    """A node of an upgrade that was tried out."""

    node_id: int
    name: str
    place: int = Field(description="The place in the order in which nodes are asked, from 1.")
    from_version: str = Field(description="The version of its agent.")
    state: UpgradeNodeState = Field(description="The state in which it would begin.")
    reason: str | None = Field(description="Why it would be skipped, or need not be asked.")


class UpgradePreview(Resource):
    """The result of a dry run: what the upgrade would do. Nothing was started."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dry_run": True,
                    "version": "0.2.0",
                    "batch_size": 1,
                    "counts": {"waiting": 1},
                    "nodes": [
                        {
                            "node_id": 7,
                            "name": "brave-otter",
                            "place": 1,
                            "from_version": "0.1.0",
                            "state": "waiting",
                            "reason": None,
                        }
                    ],
                }
            ]
        }
    )

    dry_run: Literal[True] = True
    version: str = Field(description="The version that the nodes would install.")
    batch_size: int = Field(description="The most nodes that would be under way at a time.")
    counts: dict[UpgradeNodeState, int] = Field(
        description="The number of nodes in each state that any would begin in."
    )
    nodes: list[PlannedNode] = Field(description="The nodes in the order in which they would be asked.")


class UpgradeList(Sorted[SortById]):
    """A page of upgrades."""

    state: Many[FleetUpgradeState] = any_of("Only upgrades in this state.")
    node_id: Many[Id] = any_of("Only upgrades of this node.")
    version: Many[PlainVersion] = any_of("Only upgrades to this version.")


class UpgradePage(Page[UpgradeSummary]):
    """A page of upgrades."""
