"""Requests at odds with what there is, each with its own members for programs, and the schema's constraints as such."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from master.db import Database, Session
from master.errors import Conflict, Invalid, Refused, RowConflict, RowReferenced
from shared.proxies import NodeId, ProxyId


class NameTaken(Conflict):
    """Another one has this name."""

    title = "Name taken"


class PortTaken(Conflict):
    """Another proxy has this port; members by_proxy, node_id, port."""

    title = "Port taken"


class PortOutsideRange(Conflict):
    """The node gives no such port; members node_id, port, ports."""

    title = "Port outside the node's range"


class EngineMissing(Conflict):
    """The node cannot run this engine; members node_ids, engine."""

    title = "Engine missing"


class ExitMissing(Conflict):
    """A node cannot let connections leave so; member nodes [{node_id, reason, addresses, ipv6_prefixes}]."""

    title = "Exit missing"


class NoRoom(Conflict):
    """No candidate can take the proxy, or not all the proxies of a stack fit.

    Members wanted, possible, and nodes [{node_id, reason}] or by_node [{node_id, possible, reason}].
    """

    title = "No room"


class StillUsed(Conflict):
    """It cannot go while something stands on it; member count."""

    title = "Still used"


class CountDiffers(Conflict):
    """The filter matches more or fewer than expected; members expected, matched."""

    title = "Unexpected count"


class RotationUnderWay(Conflict):
    """One rotation of a proxy at a time; members proxy_id, rotation_id where it is known."""

    title = "Rotation under way"


class NotRotatable(Conflict):
    """A proxy has nothing of that kind to rotate; member proxies [{proxy_id, reason}]."""

    title = "Not rotatable"


def pointed(detail: str, *pointers: str) -> Invalid:
    """A refusal of what stands at these JSON pointers of the body."""
    return Invalid(detail, {"errors": [{"pointer": pointer, "detail": detail} for pointer in pointers]})


def port_taken(port: int, by_proxy: ProxyId, node_id: NodeId) -> PortTaken:
    """Names who has the port."""
    return PortTaken(
        f"port {port} is taken by proxy {by_proxy} on node {node_id}",
        {"by_proxy": by_proxy, "node_id": node_id, "port": port},
    )


def rotation_under_way(proxy_id: ProxyId, rotation_id: int) -> RotationUnderWay:
    """Names it."""
    detail = f"proxy {proxy_id} is being rotated"
    return RotationUnderWay(detail, {"proxy_id": proxy_id, "rotation_id": rotation_id})


def not_rotatable(hindrances: Mapping[int, str]) -> NotRotatable:
    """Names the proxies and what each lacks."""
    proxies = [{"proxy_id": id_, "reason": reason} for id_, reason in hindrances.items()]
    first = proxies[0]
    which = f"proxy {first['proxy_id']}: {first['reason']}" if len(proxies) == 1 else f"{len(proxies)} proxies"
    return NotRotatable(f"this cannot be rotated: {which}", {"proxies": proxies})


def engine_missing(engine: str, node_ids: Iterable[int]) -> EngineMissing:
    """Names the nodes that lack it."""
    ids = sorted(node_ids)
    which = f"node {ids[0]} has" if len(ids) == 1 else f"{len(ids)} nodes have"
    return EngineMissing(f"{which} no engine {engine}", {"node_ids": ids, "engine": engine})


def exit_missing(lacks: Sequence[tuple[Mapping[str, Any], str]]) -> ExitMissing:
    """Names the nodes, given as their rows, what each lacks and what it has."""
    nodes = [
        {
            "node_id": node["id"],
            "reason": reason,
            "addresses": node["local_addresses"],
            "ipv6_prefixes": node["ipv6_prefixes"],
        }
        for node, reason in lacks
    ]
    which = f"node {nodes[0]['node_id']}: {nodes[0]['reason']}" if len(nodes) == 1 else f"{len(nodes)} nodes lack it"
    return ExitMissing(f"connections cannot leave so: {which}", {"nodes": nodes})


def refusal(constraint: str) -> Refused | None:  # noqa: PLR0911 (one for each constraint)
    """What a constraint of the schema says to the user; None when only a bug can break it."""
    match constraint:
        case "locations_name_key" | "nodes_name_key" | "proxies_name_key" | "stacks_name_key":
            return NameTaken(f"another one of the {constraint.partition('_')[0]} has this name")
        case "proxies_node_id_port_key":
            return PortTaken("another proxy of the node has this port")
        case "rotations_open_key":
            return RotationUnderWay("a rotation of the proxy is under way")
        case "endpoints_node_id_fkey":
            return StillUsed("a proxy is being rotated away from the node or to it")
        case "proxies_not_open":
            return pointed("a proxy without a user name needs allow_ips", "/allow_ips")
        case "nodes_challenge_hash_key":
            return Conflict("this challenge is just being used for another node")
        case "nodes_location_id_fkey":
            return Conflict("the location has just gone, or a node has just come to it")
        case _:
            return None


@asynccontextmanager
async def writing(database: Database) -> AsyncGenerator[Session]:
    """A transaction whose broken constraints are refusals. Raises Refused, DatabaseError."""
    try:
        async with database.transaction() as session:
            yield session
    except (RowConflict, RowReferenced) as error:
        known = refusal(error.constraint)
        if known is None:
            raise
        raise known from error
