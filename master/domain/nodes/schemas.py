"""The bodies, queries and resources of nodes.

Longer than most modules because each model documents its members and carries the example that the API shows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from master.schemas.addresses import ExitAddress, NodeIp, Prefix
from master.schemas.base import Query, RequestBody, Resource, Row, Text, omitted
from master.schemas.fields import (
    LabelPatch,
    LocationName,
    Name,
    NodeIds,
    NodeNames,
    Overlap,
    PlainVersion,
    PortRange,
    distinct,
)
from master.schemas.filters import LabelFilter, Many, SearchText, any_of, none_of
from master.schemas.pages import Page
from master.schemas.sorting import Sort, Sorted
from shared.proxies import Id

NodeState = Literal["active", "draining", "disabled"]
NodeLink = Literal["online", "offline", "never_reported"]


class NodeLimits(Resource):
    """The limits of a node."""

    max_proxies: int = Field(description="The most proxies that are placed on the node.")
    ports: str = Field(
        description="The range from which ports are assigned, both ends included.", examples=["20000-29999"]
    )


class NodeExits(Resource):
    """The declared exits of a node, beside the addresses that it reports."""

    addresses: list[str] = Field(description="Local addresses by which connections may leave the node.")
    ipv6_prefixes: list[str] = Field(description="IPv6 networks that are routed to the node.")


class HeldList(Resource):
    """A list that the node holds back until it is confirmed, because it would stop most of its proxies."""

    rev: int = Field(description="The revision of the list.")
    stops: int = Field(description="The number of running proxies that the list would stop.")
    of: int = Field(description="The number of running proxies.")


class NodeLoad(Resource):
    """The load of a node, measured over the last 15 seconds and reported every 15 seconds."""

    cpu: float | None = Field(
        description="The share of its host's processors that is in use, from 0 to 1. null: the host does not tell."
    )
    memory: float | None = Field(
        description="The share of its host's memory that is in use, from 0 to 1. null: the host does not tell."
    )
    rx_bps: int = Field(description="Bits per second that its proxies receive from clients, to two significant digits.")
    tx_bps: int = Field(description="Bits per second that its proxies send to clients, to two significant digits.")
    connections: int = Field(description="Client connections that are open, without those of 3proxy.")


class NodeUpgrade(Resource):
    """The upgrade of which the node was asked last, by its latest report."""

    able: bool = Field(
        description="Whether the node can upgrade itself. A container cannot, nor an agent that was not installed by "
        "the install script."
    )
    version: str | None = Field(description="The version that it was asked to install. null: it was never asked.")
    state: str | None = Field(
        description="`fetching`, `verifying`, `installing`, `restarting`, `checking`, `done`, `rolled_back`, "
        "`refused`, or a state that only a newer node knows. null: it was never asked."
    )
    reason: str | None = Field(description="Why it was rolled back or refused.")


class NodeCertificate(Resource):
    """The certificate with which a node serves clients that speak TLS to a proxy, by its latest report."""

    pem: str = Field(
        description="What clients have to trust, in PEM: the node's own authority if the certificate is `self_made`, "
        "else the certificate itself."
    )
    names: list[str] = Field(description="The addresses and names that the certificate is for.")
    expires_at: datetime = Field(description="The end of its validity. The node renews one that is `self_made`.")
    self_made: bool = Field(description="Whether the node has made it itself, because it was given none.")
    problem: str | None = Field(description="Why the node cannot use the certificate of its settings. null: it does.")


class NodeBroker(Resource):
    """The link to the broker by which the node was heard last, and how its last move went."""

    rev: int = Field(description="The revision of the link, as GET /system/broker shows it.")
    url: str | None = Field(description="The address that the node uses. null: its agent does not report it.")
    state: str | None = Field(
        description="`moved`: it uses the link. `trial`: it has just moved, and is not confirmed. `failed`: it could "
        "not use a newer link, and stayed. null: its agent cannot be moved."
    )
    reason: str | None = Field(description="Why it could not move.")


class NodeStatus(Resource):
    """The latest report of a node."""

    state: NodeLink = Field(
        description="`offline`: the node has not reported for a while. `never_reported`: it has not reported yet."
    )
    rev: int = Field(description="The revision of the list that the node acts on.")
    confirmed_rev: int = Field(description="The revision up to which the node has carried out all changes.")
    count: int = Field(description="The number of proxies that the node holds.")
    running: int = Field(description="The number of proxies that run.")
    failed: int = Field(description="The number of proxies that cannot run.")
    limited: int = Field(
        description="The number of proxies that run, but refuse clients: their quota is spent or they have expired."
    )
    missing: int = Field(description="The number of proxies that the node does not hold yet.")
    held: HeldList | None = Field(description="null: the node holds back no list.")
    trouble: str | None = Field(
        description="What keeps the node from taking changes, such as a full disk. Its proxies continue to run. null: "
        "nothing."
    )
    load: NodeLoad | None = Field(description="null: the node is offline, has just started, or reports no load.")
    upgrade: NodeUpgrade | None = Field(description="null: the agent reports no upgrades, or has not reported yet.")
    reported_at: datetime | None = Field(description="The time of the report.")


class MoveFailure(Resource):
    """A proxy that could not leave its node yet."""

    proxy_id: int
    reason: str
    tries: int = Field(description="The number of failed tries.")
    next_at: datetime = Field(description="The time of the next try.")


class Moving(Resource):
    """The progress of a node that drains by moving its proxies."""

    left: int = Field(description="The number of proxies that are still on this node.")
    starting: int = Field(description="The number of these whose new endpoint is being started and probed.")
    overlapping: int = Field(
        description="The number of proxies that have moved, while their former endpoints continue to serve here."
    )
    failed: int = Field(description="The number of those left that failed to move and are tried again.")
    failures: list[MoveFailure] = Field(description="The first ten of the failures.")
    overlap_s: int = Field(description="Seconds for which each former endpoint continues to serve.")
    node_ids: list[int] | None = Field(
        description="The nodes to which the proxies move. null: any node of the same location."
    )
    leaving: bool = Field(description="Whether the node is removed when it is empty.")
    began_at: datetime
    emptied_at: datetime | None = Field(description="The time when the last proxy left. null: not yet.")


class Node(Resource):
    """A host that runs proxies."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 1,
                    "name": "brave-otter",
                    "ip": "203.0.113.7",
                    "location_id": 1,
                    "labels": {},
                    "state": "active",
                    "limits": {"max_proxies": 1000, "ports": "20000-29999"},
                    "exits": {"addresses": [], "ipv6_prefixes": ["2001:db8:1::/64"]},
                    "engines": {"builtin": "1.0.0"},
                    "host": "node-1.example.net",
                    "os": "Debian GNU/Linux 12",
                    "addresses": ["203.0.113.7"],
                    "agent": "1.0.0",
                    "pinned_version": None,
                    "tls_certificate": None,
                    "revision": 12,
                    "status": {
                        "state": "online",
                        "rev": 12,
                        "confirmed_rev": 12,
                        "count": 3,
                        "running": 3,
                        "failed": 0,
                        "limited": 0,
                        "missing": 0,
                        "held": None,
                        "trouble": None,
                        "load": {
                            "cpu": 0.31,
                            "memory": 0.42,
                            "rx_bps": 1_200_000,
                            "tx_bps": 18_000_000,
                            "connections": 312,
                        },
                        "upgrade": {"able": True, "version": None, "state": None, "reason": None},
                        "reported_at": "2026-05-01T09:31:00Z",
                    },
                    "broker": {
                        "rev": 0,
                        "url": "amqps://broker.example.net:5671/",
                        "state": "moved",
                        "reason": None,
                    },
                    "moving": None,
                    "created_at": "2026-05-01T09:30:00Z",
                    "updated_at": "2026-05-01T09:30:00Z",
                }
            ]
        }
    )

    id: int
    name: str = Field(description="Unique among nodes.")
    ip: str = Field(description="The address at which the master and clients reach the node.")
    location_id: int | None
    labels: dict[str, str] = Field(description="Texts of your choice by name, to filter by.")
    state: NodeState = Field(description="A `draining` node takes no new proxies; a `disabled` node stops its proxies.")
    limits: NodeLimits
    exits: NodeExits
    engines: dict[str, str] = Field(description="The engines that can run proxies on the node: their versions by name.")
    host: str = Field(description="The host name that the node reports.")
    os: str = Field(description="The operating system that the node reports.")
    addresses: list[str] = Field(description="The local addresses that the node reports.")
    agent: str = Field(description="The version of the node's agent.")
    pinned_version: str | None = Field(
        description="Upgrades to any other version leave this node out. null: it takes part in all."
    )
    tls_certificate: NodeCertificate | None = Field(description="null: the node has no proxy that speaks TLS.")
    revision: int = Field(description="Grows with every change of what the node should run.")
    status: NodeStatus
    broker: NodeBroker | None = Field(description="null: the node was not heard yet.")
    moving: Moving | None = Field(description="null: the node does not drain by moving its proxies.")
    created_at: datetime
    updated_at: datetime


def node_from_row(row: Row) -> Node:
    """Make a node out of a row of `node_resources`."""
    return Node.model_validate(
        {
            **{name: row[name] for name in NODE_COLUMNS},
            "limits": NodeLimits(max_proxies=row["max_proxies"], ports=f"{row['port_from']}-{row['port_to']}"),
            "exits": NodeExits(addresses=row["exit_addresses"], ipv6_prefixes=row["ipv6_prefixes"]),
            "tls_certificate": node_certificate(row["tls_certificate"]),
            "status": node_status(row),
        }
    )


def node_status(row: Row) -> NodeStatus:
    """Make the status out of a row of `node_resources`."""
    held = None
    if row["held_rev"] is not None:
        held = HeldList(rev=row["held_rev"], stops=row["held_stops"] or 0, of=row["held_of"] or 0)
    return NodeStatus(
        state=row["link"],
        held=held,
        trouble=row["trouble"] or None,
        load=row["load"],
        upgrade=node_upgrade(row["upgrade"]),
        **{
            name: row[name]
            for name in ("rev", "confirmed_rev", "count", "running", "failed", "limited", "missing", "reported_at")
        },
    )


def node_upgrade(stored: Mapping[str, Any] | None) -> NodeUpgrade | None:
    """Make the upgrade out of the stored member of a report."""
    if stored is None:
        return None
    return NodeUpgrade(able=stored["able"], **{name: stored[name] or None for name in ("version", "state", "reason")})


def node_certificate(stored: Mapping[str, Any] | None) -> NodeCertificate | None:
    """Make the certificate out of the stored member of a report."""
    if stored is None:
        return None
    return NodeCertificate.model_validate({**stored, "problem": stored["problem"] or None})


BUILT_MEMBERS = ("limits", "exits", "status", "tls_certificate")
NODE_COLUMNS = tuple(name for name in Node.model_fields if name not in BUILT_MEMBERS)


class NodeFilter(LabelFilter):
    """A filter of nodes; a node must match all of its members."""

    location_id: Many[Id] = any_of("Only nodes of this location.")
    location: Many[Name] = any_of("The name of the location, instead of `location_id`.")
    state: Many[NodeState] = any_of("Only nodes in this state.")
    link: Many[NodeLink] = any_of("Only nodes with this state of their link.")
    name: Many[Text] = any_of("Only the node with this name.")
    ip: Many[NodeIp] = any_of("Only nodes with this `ip`.")
    q: SearchText = Field(
        default=None,
        description="Only nodes whose name, `ip` or `host` begins with this text, in any case, or whose id it is.",
    )
    not_location_id: Many[Id] = none_of("location_id")
    not_location: Many[Name] = none_of("location")
    not_state: Many[NodeState] = none_of("state")
    not_link: Many[NodeLink] = none_of("link")
    not_name: Many[Text] = none_of("name")
    not_ip: Many[NodeIp] = none_of("ip")


class NodeList(Sorted[Sort], NodeFilter):
    """A page of nodes."""


class NodeRemoval(Query):
    """The parameters of a node's removal."""

    proxies: Literal["refuse", "move", "delete"] = Field(
        default="refuse",
        description="The fate of the node's proxies. `refuse`: the node is not removed while it has any. `move`: they "
        "move to "
        "other nodes, then the node is removed. `delete`: they are removed with it.",
    )
    overlap_s: Overlap = Field(
        default=60, description="With `move`: seconds for which each former endpoint continues to serve."
    )


class NodeLimitsPatch(RequestBody):
    """A change of a node's limits; omitted members stay as they are."""

    max_proxies: Annotated[int, Field(ge=0, le=60000)] = Field(
        default_factory=omitted, description="The most proxies that are placed on the node."
    )
    ports: PortRange = Field(
        default_factory=omitted,
        description="The range from which ports are assigned, both ends included. Ports in use must lie in it.",
    )


class NodeExitOptions(RequestBody):
    """A change of a node's exits; omitted members stay as they are."""

    addresses: Annotated[list[ExitAddress], Field(max_length=1000), AfterValidator(distinct)] = Field(
        default_factory=omitted,
        description="Local addresses by which connections may leave the node, beside those that it reports.",
    )
    ipv6_prefixes: Annotated[list[Prefix], Field(max_length=64), AfterValidator(distinct)] = Field(
        default_factory=omitted,
        description="IPv6 networks that are routed to the node. A proxy with a random exit that names none uses the "
        "first.",
    )


class NodePatch(RequestBody):
    """A change of a node; omitted members stay as they are."""

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
    ip: NodeIp = Field(
        default_factory=omitted, description="The address at which the master and clients reach the node."
    )
    location_id: Id | None = Field(default_factory=omitted, description="The location of the node. null: none.")
    location: LocationName = Field(default_factory=omitted)
    labels: LabelPatch = Field(default_factory=omitted)
    state: NodeState = Field(
        default_factory=omitted,
        description="A `draining` node takes no new proxies; a `disabled` node stops its proxies.",
    )
    limits: NodeLimitsPatch = Field(default_factory=omitted)
    exits: NodeExitOptions = Field(default_factory=omitted)
    pinned_version: PlainVersion | None = Field(
        default_factory=omitted,
        description="Leave this node out of upgrades to any other version. null: it takes part in all.",
    )
    move: bool = Field(
        default_factory=omitted,
        description="Whether the proxies of a draining node move to other nodes, make-before-break. false stops "
        "further "
        "moves.",
    )
    overlap_s: Overlap = Field(
        default_factory=omitted,
        description="With `move`: seconds for which each former endpoint continues to serve. Default: 60.",
    )
    node_ids: NodeIds = Field(
        default_factory=omitted,
        description="With `move`: the nodes to which the proxies move. Default: any node of the same location.",
    )
    nodes: NodeNames = Field(default_factory=omitted)

    def given(self) -> dict[str, Any]:
        """Return the members that are settings of the node; those of a move are not."""
        return {name: value for name, value in super().given().items() if name not in ("move", "overlap_s", "node_ids")}


class SyncRequest(RequestBody):
    """The options of a comparison of a node with the database."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"confirm": True}]})

    confirm: bool = Field(default=False, description="If true, the node acts on a list that it holds back.")


class NodePage(Page[Node]):
    """A page of nodes."""
