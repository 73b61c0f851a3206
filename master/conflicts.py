"""Requests at odds with what there is, each with its own members for programs, and the schema's constraints as such."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, TypedDict

from master.db import Database, Session
from master.errors import Conflict, Invalid, LackingExit, Refused, RowConflict, RowReferenced, UnrotatableProxy
from master.spreading import Share
from shared.proxies import NodeId, ProxyId


class NameTaken(Conflict):
    """Another location, node, proxy or stack has this name; `by_node` is the node that has it, where that is known."""

    type = "/problems/name-taken"
    title = "Name taken"

    class Members(TypedDict, total=False):
        by_node: int


class ChallengeUsed(Conflict):
    """The challenge was used before for another node, which `node_id` names where it is known."""

    type = "/problems/challenge-used"
    title = "Challenge used"

    class Members(TypedDict, total=False):
        node_id: int


class PortTaken(Conflict):
    """Another proxy has this port on the address of the node; `by_proxy` is that proxy."""

    type = "/problems/port-taken"
    title = "Port taken"

    class Members(TypedDict, total=False):
        by_proxy: int
        node_id: int
        port: int


class PortOutsideRange(Conflict):
    """The port is outside the range `ports` of the node."""

    type = "/problems/port-outside-range"
    title = "Port outside the node's range"

    class Members(TypedDict):
        node_id: int
        port: int
        ports: str


class PortsExcluded(Conflict):
    """Proxies of the node have ports outside the new range `ports`; `count` is their number."""

    type = "/problems/ports-excluded"
    title = "Ports in use are excluded"

    class Members(TypedDict):
        node_id: int
        count: int
        ports: str


class EngineMissing(Conflict):
    """The nodes `node_ids` do not have this engine."""

    type = "/problems/engine-missing"
    title = "Engine missing"

    class Members(TypedDict):
        node_ids: list[int]
        engine: str


class ExitMissing(Conflict):
    """Connections cannot leave the nodes by this exit; `nodes` says what each lacks and what it has."""

    type = "/problems/exit-missing"
    title = "Exit missing"

    class Members(TypedDict):
        nodes: list[LackingExit]


class ExitsUsed(Conflict):
    """Proxies of the node leave by an address or a prefix that would go; `count` is their number."""

    type = "/problems/exits-used"
    title = "Exits are in use"

    class Members(TypedDict):
        node_id: int
        count: int


class NoRoom(Conflict):
    """The nodes cannot take all of the proxies, so none was placed.

    `wanted` is their number, `possible` how many fit, and `by_node` says of each candidate how many it can take and why
    no more. It is empty when there is no candidate.
    """

    type = "/problems/no-room"
    title = "No room"

    class Members(TypedDict):
        wanted: int
        possible: int
        by_node: list[Share]


class StillUsed(Conflict):
    """The resource cannot go while others stand on it; `count` is their number."""

    type = "/problems/still-used"
    title = "Still used"

    class Members(TypedDict, total=False):
        count: int
        node_id: int


class CountDiffers(Conflict):
    """The filter matches more or fewer proxies than expected; nothing was done."""

    type = "/problems/count-differs"
    title = "Unexpected count"

    class Members(TypedDict):
        expected: int
        matched: int


class RotationUnderWay(Conflict):
    """A rotation of the proxy is under way, and a proxy has one at a time; `rotation_id` names it where it is known."""

    type = "/problems/rotation-under-way"
    title = "Rotation under way"

    class Members(TypedDict, total=False):
        proxy_id: int
        rotation_id: int


class NotRotatable(Conflict):
    """A proxy has nothing of the asked kind to rotate; `proxies` says what each lacks."""

    type = "/problems/not-rotatable"
    title = "Not rotatable"

    class Members(TypedDict):
        proxies: list[UnrotatableProxy]


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


def no_room(detail: str, *, wanted: int, possible: int, by_node: Iterable[Share]) -> NoRoom:
    """Say how many of the proxies fit, and of each node how many it can take and why no more."""
    shares = [asdict(share) for share in sorted(by_node, key=lambda one: one.node_id)]
    detail = detail if shares else "no node is there that was asked for"
    return NoRoom(detail, {"wanted": wanted, "possible": possible, "by_node": shares})


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
            return ChallengeUsed("this challenge is just being used for another node")
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
