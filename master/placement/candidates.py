"""Chooses the node of a new proxy, or explains why there is none. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from master.placement.exits import lacking
from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A node that may take the proxy.

    `used` counts the ports of its range that are no longer free on its ip; `holder` is the proxy that has the asked
    port on its ip, on `holder_node`.
    """

    id: NodeId
    state: str
    has_engine: bool
    count: int
    max_proxies: int
    port_from: int
    port_to: int
    used: int
    local_addresses: Sequence[str] = ()
    ipv6_prefixes: Sequence[str] = ()
    holder: ProxyId | None = None
    holder_node: NodeId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What the proxy needs of its node; without a port any will do."""

    engine: str
    port: int | None = None
    exit: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """Why a node cannot take the proxy; `port` and `exit` mark the reasons that only an asked port or exit gives."""

    node_id: NodeId
    reason: str
    port: Literal["outside", "taken"] | None = None
    exit: bool = False


def place(candidates: Sequence[Candidate], demand: Demand) -> NodeId | tuple[Obstacle, ...]:
    """The least loaded node that can take it, the lowest id among equals; or one obstacle a candidate, by id."""
    judged = [(candidate, obstacle(candidate, demand)) for candidate in sorted(candidates, key=lambda one: one.id)]
    able = [candidate for candidate, hindrance in judged if hindrance is None]
    if able:
        return min(able, key=lambda candidate: (candidate.count, candidate.id)).id
    return tuple(hindrance for _, hindrance in judged if hindrance is not None)


def obstacle(candidate: Candidate, demand: Demand) -> Obstacle | None:
    """What keeps this node from taking it."""
    if candidate.state != "active":
        return Obstacle(node_id=candidate.id, reason=f"it is {candidate.state}")
    if not candidate.has_engine:
        return Obstacle(node_id=candidate.id, reason=f"it has no engine {demand.engine}")
    if lack := lacking(demand.exit, candidate.local_addresses, candidate.ipv6_prefixes):
        return Obstacle(node_id=candidate.id, reason=lack, exit=True)
    if candidate.count >= candidate.max_proxies:
        return Obstacle(
            node_id=candidate.id, reason=f"it is full: {candidate.count} of {candidate.max_proxies} proxies"
        )
    return no_port(candidate) if demand.port is None else port_obstacle(candidate, demand.port)


def no_port(candidate: Candidate) -> Obstacle | None:
    """All ports of the range are used."""
    if candidate.used <= candidate.port_to - candidate.port_from:
        return None
    return Obstacle(node_id=candidate.id, reason=f"no port of {candidate.port_from}-{candidate.port_to} is free")


def port_obstacle(candidate: Candidate, port: int) -> Obstacle | None:
    """The asked port is outside the range, or taken."""
    if not candidate.port_from <= port <= candidate.port_to:
        reason = f"port {port} is outside its range {candidate.port_from}-{candidate.port_to}"
        return Obstacle(node_id=candidate.id, reason=reason, port="outside")
    if candidate.holder is not None:
        reason = f"port {port} is taken by proxy {candidate.holder} on node {candidate.holder_node}"
        return Obstacle(node_id=candidate.id, reason=reason, port="taken")
    return None
