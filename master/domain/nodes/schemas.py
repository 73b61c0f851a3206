"""Nodes, as the API shows them: with their latest word, and how far they are with moving."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from master.schemas.addresses import ExitAddress, NodeIp, Prefix
from master.schemas.base import LabelFilter, Paging, Query, RequestBody, Resource, Row, Text, omitted
from master.schemas.fields import LabelPatch, LocationName, Name, NodeIds, NodeNames, Overlap, PortRange, distinct
from master.schemas.pages import Page
from shared.proxies import Id

NodeState = Literal["active", "draining", "disabled"]
NodeLink = Literal["online", "offline", "never_reported"]


class NodeLimits(Resource):
    """What a node takes on at most."""

    max_proxies: int
    ports: str = Field(
        description="the range out of which ports are given, both ends included", examples=["20000-29999"]
    )


class NodeExits(Resource):
    """By what a node's proxies may leave it, besides the addresses that it has told."""

    addresses: list[str]
    ipv6_prefixes: list[str]


class HeldList(Resource):
    """A list that the node does not act on before it is confirmed, since it would stop most of its proxies."""

    rev: int
    stops: int
    of: int


class NodeStatus(Resource):
    """A node's latest word. `never_reported`: it has never reported."""

    state: NodeLink
    rev: int = Field(description="revision of the list that the node acts on")
    confirmed_rev: int = Field(description="revision up to which the node has done what was asked")
    count: int = Field(description="proxies that the node holds")
    running: int
    failed: int
    limited: int = Field(description="proxies that run, but whose quota is spent or whose time is over")
    missing: int = Field(description="wanted, but not with the node yet")
    held: HeldList | None
    trouble: str | None = Field(
        description="What keeps the node from taking changes, such as a full disk. Its proxies run on. null: nothing"
    )
    reported_at: datetime | None


class MoveFailure(Resource):
    """A proxy that could not leave its node as yet."""

    proxy_id: int
    reason: str
    tries: int
    next_at: datetime = Field(description="when it is tried again")


class Moving(Resource):
    """How far a node is that drains by moving its proxies."""

    left: int = Field(description="proxies that are still this node's")
    starting: int = Field(description="of these, those whose new endpoint is being made and probed")
    overlapping: int = Field(description="proxies that have moved, while their former endpoints serve on here")
    failed: int = Field(description="of those left, how many have failed to move and are tried again")
    failures: list[MoveFailure] = Field(description="the first ten of them")
    overlap_s: int
    node_ids: list[int] | None = Field(description="where they go; null: to nodes of the same location")
    leaving: bool = Field(description="the node is removed when it is empty")
    began_at: datetime
    emptied_at: datetime | None


class Node(Resource):
    """A host that runs proxies."""

    id: int
    name: str
    ip: str
    location_id: int | None
    labels: dict[str, str]
    state: NodeState = Field(description="draining takes no new proxies; disabled stops its proxies")
    limits: NodeLimits
    exits: NodeExits
    engines: dict[str, str] = Field(description="name and version of what can run proxies there")
    host: str
    os: str
    addresses: list[str]
    agent: str = Field(description="version of the node's agent")
    revision: int = Field(description="grows with every change of what the node should run")
    status: NodeStatus
    moving: Moving | None = Field(description="null unless the node drains by moving its proxies")
    created_at: datetime
    updated_at: datetime


def node_from_row(row: Row) -> Node:
    """Out of a row of `node_resources`."""
    return Node.model_validate(
        {
            **{name: row[name] for name in NODE_COLUMNS},
            "limits": NodeLimits(max_proxies=row["max_proxies"], ports=f"{row['port_from']}-{row['port_to']}"),
            "exits": NodeExits(addresses=row["exit_addresses"], ipv6_prefixes=row["ipv6_prefixes"]),
            "status": node_status(row),
        }
    )


def node_status(row: Row) -> NodeStatus:
    """The status part of a row of `node_resources`."""
    held = None
    if row["held_rev"] is not None:
        held = HeldList(rev=row["held_rev"], stops=row["held_stops"] or 0, of=row["held_of"] or 0)
    return NodeStatus(
        state=row["link"],
        held=held,
        trouble=row["trouble"] or None,
        **{
            name: row[name]
            for name in ("rev", "confirmed_rev", "count", "running", "failed", "limited", "missing", "reported_at")
        },
    )


NODE_COLUMNS = tuple(name for name in Node.model_fields if name not in ("limits", "exits", "status"))


class NodeFilter(LabelFilter):
    """Which nodes."""

    location_id: Id | None = None
    location: LocationName = None
    state: NodeState | None = None
    online: bool | None = None
    name: Text | None = None
    ip: NodeIp | None = None


class NodeList(NodeFilter, Paging):
    """A page of nodes."""


class NodeRemoval(Query):
    """What shall become of the proxies of a node that goes."""

    proxies: Literal["refuse", "move", "delete"] = Field(
        default="refuse",
        description="refuse: the node stays while it has some; move: they go to other nodes, then it goes, too",
    )
    overlap_s: Overlap = Field(default=60, description="with move: former endpoints serve on for so long")


class NodeLimitsPatch(RequestBody):
    """What shall be otherwise of a node's limits."""

    max_proxies: Annotated[int, Field(ge=0, le=60000)] = Field(default_factory=omitted)
    ports: PortRange = Field(default_factory=omitted)


class NodeExitOptions(RequestBody):
    """By what a node's proxies may leave it."""

    addresses: Annotated[list[ExitAddress], Field(max_length=1000), AfterValidator(distinct)] = Field(
        default_factory=omitted, description="local addresses besides those that the node has told"
    )
    ipv6_prefixes: Annotated[list[Prefix], Field(max_length=64), AfterValidator(distinct)] = Field(
        default_factory=omitted,
        description="IPv6 networks that are routed to the node; the first is drawn from when a proxy names none",
    )


class NodePatch(RequestBody):
    """What shall be otherwise of a node."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"state": "draining", "limits": {"max_proxies": 500}},
                {"exits": {"ipv6_prefixes": ["2001:db8:1::/64"]}},
                {"state": "draining", "move": True, "overlap_s": 30},
            ]
        }
    )

    name: Name = Field(default_factory=omitted)
    ip: NodeIp = Field(default_factory=omitted)
    location_id: Id | None = Field(default_factory=omitted)
    location: LocationName = Field(default_factory=omitted)
    labels: LabelPatch = Field(default_factory=omitted)
    state: NodeState = Field(default_factory=omitted)
    limits: NodeLimitsPatch = Field(default_factory=omitted)
    exits: NodeExitOptions = Field(default_factory=omitted)
    move: bool = Field(
        default_factory=omitted,
        description="of a draining node: its proxies move to other nodes, make before break; false: no more of them",
    )
    overlap_s: Overlap = Field(
        default_factory=omitted, description="with move: the former endpoint serves on for so long: 60 s"
    )
    node_ids: NodeIds = Field(
        default_factory=omitted,
        description="with move: to these; to those of the node's location when none are named",
    )
    nodes: NodeNames = Field(default_factory=omitted)

    def given(self) -> dict[str, Any]:
        """What is a setting of the node; a move is not."""
        return {name: value for name, value in super().given().items() if name not in ("move", "overlap_s", "node_ids")}


class SyncRequest(RequestBody):
    """Compare a node with the database now."""

    confirm: bool = Field(default=False, description="lets a list pass that the node holds")


class NodePage(Page[Node]):
    """A page of nodes, ordered by id."""
