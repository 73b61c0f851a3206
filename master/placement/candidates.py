"""The choice of a node for one proxy, or one obstacle for each node. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Any, Literal

from shared.proxies import NodeId, ProxyId


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A node that may get the proxy.

    `used` counts the ports of its range that are not free on its ip. `holder` is the proxy that has the requested port
    on this ip, and `holder_node` its node.
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
    """What the proxy needs from its node. Without a port, any free port will do."""

    engine: str
    port: int | None = None
    exit: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """Why a node cannot take the proxy. `port` and `exit` mark reasons that a request for a port or an exit causes."""

    node_id: NodeId
    reason: str
    port: Literal["outside", "taken"] | None = None
    exit: bool = False


def choose_node(candidates: Sequence[Candidate], demand: Demand) -> NodeId | tuple[Obstacle, ...]:
    """Return the least loaded node that can take the proxy (the lowest id among equals), or all obstacles by id."""
    judged = [(candidate, obstacle(candidate, demand)) for candidate in sorted(candidates, key=lambda one: one.id)]
    able = [candidate for candidate, found in judged if found is None]
    if able:
        return min(able, key=lambda candidate: (candidate.count, candidate.id)).id
    return tuple(found for _, found in judged if found is not None)


def obstacle(candidate: Candidate, demand: Demand) -> Obstacle | None:
    """Return why the node cannot take the proxy, or None."""
    if candidate.state != "active":
        return Obstacle(node_id=candidate.id, reason=f"it is {candidate.state}")
    if not candidate.has_engine:
        return Obstacle(node_id=candidate.id, reason=f"it has no engine {demand.engine}")
    if reason := exit_obstacle(demand.exit, candidate.local_addresses, candidate.ipv6_prefixes):
        return Obstacle(node_id=candidate.id, reason=reason, exit=True)
    if candidate.count >= candidate.max_proxies:
        return Obstacle(
            node_id=candidate.id, reason=f"it is full: {candidate.count} of {candidate.max_proxies} proxies"
        )
    return no_free_port(candidate) if demand.port is None else port_obstacle(candidate, demand.port)


def no_free_port(candidate: Candidate) -> Obstacle | None:
    """Return an obstacle when all ports of the range are used."""
    if candidate.used <= candidate.port_to - candidate.port_from:
        return None
    return Obstacle(node_id=candidate.id, reason=f"no port of {candidate.port_from}-{candidate.port_to} is free")


def port_obstacle(candidate: Candidate, port: int) -> Obstacle | None:
    """Return an obstacle when the requested port is outside the range or taken."""
    if not candidate.port_from <= port <= candidate.port_to:
        reason = f"port {port} is outside its range {candidate.port_from}-{candidate.port_to}"
        return Obstacle(node_id=candidate.id, reason=reason, port="outside")
    if candidate.holder is not None:
        reason = f"port {port} is taken by proxy {candidate.holder} on node {candidate.holder_node}"
        return Obstacle(node_id=candidate.id, reason=reason, port="taken")
    return None


RANDOM_MODES = ("ipv6_random", "ipv6_session")


def exit_obstacle(exit_: Mapping[str, Any], addresses: Sequence[str], prefixes: Sequence[str]) -> str | None:
    """Return why a node with these addresses and IPv6 prefixes cannot provide the exit, or None if it can."""
    mode = exit_.get("mode", "default")
    if mode == "address" and exit_["address"] not in addresses:
        return f"it has no address {exit_['address']}, only {', '.join(addresses) or 'unknown ones'}"
    if mode in RANDOM_MODES and not prefixes:
        return "no IPv6 prefix is declared for it (exits.ipv6_prefixes)"
    if mode in RANDOM_MODES and "prefix" in exit_ and not is_within(exit_["prefix"], prefixes):
        return f"{exit_['prefix']} is in none of its IPv6 prefixes {', '.join(prefixes)}"
    return None


def is_within(prefix: str, others: Sequence[str]) -> bool:
    """Return whether one of the other prefixes contains the whole prefix."""
    return any(IPv6Network(prefix).subnet_of(IPv6Network(other)) for other in others)
