"""What the master keeps, as its API shows it: locations, nodes, proxies and events, made out of rows."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from master.event_types import TYPES
from master.turns import Turn
from shared.proxies import EngineName, ExitMode, Protocol, TrafficPeriod

NodeState = Literal["active", "draining", "disabled"]
NodeLink = Literal["online", "offline", "unseen"]
ProxyState = Literal["pending", "running", "failed", "stopped", "limited", "expired", "unknown"]

RotationState = Literal["waiting", "starting", "overlap", "done", "failed"]

Row = Mapping[str, Any]


class Shown(BaseModel):
    """What all of them share."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Location(Shown):
    """A place where nodes stand."""

    id: int
    name: str
    country: str | None = Field(description="ISO 3166-1 alpha-2")
    labels: dict[str, str]
    created_at: datetime
    updated_at: datetime


class NodeLimits(Shown):
    """What a node takes on at most."""

    max_proxies: int
    ports: str = Field(
        description="the range out of which ports are given, both ends included", examples=["20000-29999"]
    )


class NodeExits(Shown):
    """By what a node's proxies may leave it, besides the addresses that it has told."""

    addresses: list[str]
    ipv6_prefixes: list[str]


class HeldList(Shown):
    """A list that the node does not act on before it is confirmed, since it would stop most of its proxies."""

    rev: int
    stops: int
    of: int


class NodeStatus(Shown):
    """A node's latest word. `unseen`: it has never reported."""

    state: NodeLink
    rev: int = Field(description="revision of the list that the node acts on")
    confirmed_rev: int = Field(description="revision up to which the node has done what was asked")
    count: int = Field(description="proxies that the node holds")
    running: int
    failed: int
    limited: int = Field(description="proxies that run, but whose quota is spent or whose time is over")
    missing: int = Field(description="wanted, but not with the node yet")
    held: HeldList | None
    reported_at: datetime | None


class MoveFailure(Shown):
    """A proxy that could not leave its node as yet."""

    proxy_id: int
    reason: str
    tries: int
    next_at: datetime = Field(description="when it is tried again")


class Moving(Shown):
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


class Node(Shown):
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


class ProxyExit(Shown):
    """Where a proxy's connections leave its node."""

    mode: ExitMode = "default"
    address: str | None = None
    prefix: str | None = None
    session_ttl_s: int | None = None


class ProxyLimits(Shown):
    """What a proxy may be used for at most; null is no limit."""

    connections: int | None = None
    bandwidth_bps: int | None = None
    traffic_bytes: int | None = None
    traffic_period: TrafficPeriod = "total"
    expires_at: datetime | None = None


class ProxyRotation(Shown):
    """When and how a proxy is rotated by itself."""

    every_s: int
    jitter_s: int
    what: list[Turn]
    overlap_s: int
    next_at: datetime


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


class ProxyStatus(Shown):
    """What the node's latest word makes of a proxy. `limited`: its quota is spent."""

    state: ProxyState
    reason: str | None
    observed_version: int | None = Field(description="the version that runs, when that is known")
    observed_at: datetime | None


class Proxy(Shown):
    """A proxy server on a node."""

    id: int
    name: str | None
    location_id: int | None = Field(description="of its node")
    node_id: int
    stack_id: int | None
    host: str = Field(description="the node's ip")
    port: int
    protocol: Protocol
    username: str | None
    password: str | None = Field(repr=False)
    allow_ips: list[str] = Field(description="networks that may use it; empty: any")
    engine: EngineName
    exit: ProxyExit
    limits: ProxyLimits
    rotation: ProxyRotation | None
    enabled: bool
    labels: dict[str, str]
    version: int = Field(description="grows with every change; the ETag")
    status: ProxyStatus
    urls: list[str] = Field(repr=False)
    created_at: datetime
    updated_at: datetime


class Usage(Shown):
    """What was used in all; the members that it is not summed up by are null."""

    hour: datetime | None = Field(description="in which; days more than 90 days ago stand at their midnight (UTC)")
    day: date | None = Field(description="in which (UTC)")
    proxy_id: int | None = Field(description="proxies that are no more keep their usage")
    proxy_name: str | None
    node_id: int | None
    stack_id: int | None = Field(description="stacks that are no more keep their usage")
    received_bytes: int = Field(description="from clients")
    sent_bytes: int = Field(description="to clients")
    connections: int
    refused: dict[str, int] = Field(description="connections that were refused, by reason")


class Event(Shown):
    """Something that happened. Details never hold a secret."""

    id: int = Field(description="grows; may be given as `after`")
    at: datetime
    type: str = Field(json_schema_extra={"enum": list(TYPES)})
    node_id: int | None
    proxy_id: int | None
    stack_id: int | None
    location_id: int | None
    details: dict[str, Any]


def location(row: Row) -> Location:
    """Out of a row of `locations`."""
    return Location.model_validate(dict(row))


def event(row: Row) -> Event:
    """Out of a row of `events`."""
    return Event.model_validate(dict(row))


def node(row: Row) -> Node:
    """Out of a row of `shown_nodes`."""
    return Node.model_validate(
        {
            **{name: row[name] for name in NODE_COLUMNS},
            "limits": NodeLimits(max_proxies=row["max_proxies"], ports=f"{row['port_from']}-{row['port_to']}"),
            "exits": NodeExits(addresses=row["exit_addresses"], ipv6_prefixes=row["ipv6_prefixes"]),
            "status": node_status(row),
        }
    )


def node_status(row: Row) -> NodeStatus:
    """The status part of a row of `shown_nodes`."""
    held = None
    if row["held_rev"] is not None:
        held = HeldList(rev=row["held_rev"], stops=row["held_stops"] or 0, of=row["held_of"] or 0)
    return NodeStatus(
        state=row["link"],
        held=held,
        **{
            name: row[name]
            for name in ("rev", "confirmed_rev", "count", "running", "failed", "limited", "missing", "reported_at")
        },
    )


def proxy(row: Row) -> Proxy:
    """Out of a row of `shown_proxies`."""
    status = ProxyStatus(**{name: row[name] for name in ("state", "reason", "observed_version", "observed_at")})
    columns = {name: row[name] for name in PROXY_COLUMNS}
    exit_ = {name: value for name, value in row["exit"].items() if name in ProxyExit.model_fields}
    rotation = {**row["rotation"], "next_at": row["next_at"]} if row["rotation"] else None
    return Proxy.model_validate({**columns, "exit": exit_, "rotation": rotation, "status": status, "urls": urls(row)})


def rotation(row: Row) -> Rotation:
    """Out of a row of `rotations`."""
    return Rotation.model_validate(dict(row))


@lru_cache(4096)
def bracketed(host: str) -> str:
    """As in URLs (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ip_address(host).version == 6 else host


def urls(row: Row) -> list[str]:
    """By which a client may use the proxy: one a scheme that it speaks."""
    schemes = ("http", "socks5") if row["protocol"] == "mixed" else (row["protocol"],)
    host = bracketed(row["host"])
    login = f"{quote(row['username'], safe='')}:{quote(row['password'], safe='')}@" if row["username"] else ""
    return [f"{scheme}://{login}{host}:{row['port']}" for scheme in schemes]


NODE_COLUMNS = tuple(name for name in Node.model_fields if name not in ("limits", "exits", "status"))
PROXY_COLUMNS = tuple(name for name in Proxy.model_fields if name not in ("exit", "rotation", "status", "urls"))
