"""Where proxies may go now, and putting there at once what nobody uses."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.proxies.removal import record_removals
from master.placement.candidates import Candidate, Obstacle
from master.placement.rebalance import Mover, RebalanceNode
from shared.proxies import NodeId, ProxyId

NO_PORT = "no port is free"
ANY = 2**31

Refusals = dict[ProxyId, tuple[Obstacle, ...]]


async def movers_of(session: Session, node_ids: Sequence[int]) -> list[Mover]:
    """The proxies of these nodes that may be moved now, by id."""
    return [Mover(**row) for row in await session.rows("drain.select_movable", node_ids=node_ids)]


async def places_of(
    session: Session, movers: Sequence[Mover], where: Mapping[str, Any], *, starting: int = ANY
) -> list[RebalanceNode]:
    """The nodes that are there, with what is on its way to them; each may be starting so many at once."""
    links = {row["id"]: row for row in await session.rows("drain.select_targets", **where)}
    engines: defaultdict[int, set[str]] = defaultdict(set)
    found: dict[int, Candidate] = {}
    for engine in sorted({mover.engine for mover in movers}):
        for row in await session.rows("placement.select_candidates", **where, engine=engine, port=None):
            if row["id"] in links:
                found[row["id"]] = expected(Candidate(**row), links[row["id"]])
                engines[row["id"]] |= {engine} if row["has_engine"] else set()
    return [
        RebalanceNode(
            candidate=candidate,
            ip=links[id_]["ip"],
            engines=frozenset(engines[id_]),
            free=starting - links[id_]["starting"],
        )
        for id_, candidate in found.items()
    ]


def expected(candidate: Candidate, link: Row) -> Candidate:
    """With what is on its way there. A node that is offline runs nothing new."""
    state = "offline" if candidate.state == "active" and not link["online"] else candidate.state
    count, used = candidate.count + link["waiting"], candidate.used + link["waiting"]
    return replace(candidate, state=state, count=count, used=used)


async def put(session: Session, placed: Mapping[ProxyId, NodeId]) -> tuple[list[NewEvent], Refusals]:
    """Give these proxies their new nodes at once, all of which are locked. What is to be recorded, and what stayed."""
    there = {row["id"]: row for row in await session.rows("drain.select_nodes", ids=sorted(set(placed.values())))}
    by_node: defaultdict[NodeId, list[ProxyId]] = defaultdict(list)
    for proxy_id, node_id in placed.items():
        by_node[node_id].append(proxy_id)
    moved: list[Row] = []
    for node_id, ids in sorted(by_node.items()):
        await session.execute("placement.lock_ip", ip=there[node_id]["ip"])
        moved += await session.rows("drain.relocate", node_id=node_id, ids=ids)
    await tell_guard(session, moved)
    left = placed.keys() - {row["id"] for row in moved}
    refused: Refusals = {id_: (Obstacle(node_id=placed[id_], reason=NO_PORT),) for id_ in sorted(left)}
    return [relocate_now(row) for row in moved], refused


async def tell_guard(session: Session, moved: Sequence[Row]) -> None:
    """These have left their nodes on purpose."""
    sources = await session.rows("drain.select_nodes", ids=sorted({row["from_node_id"] for row in moved}))
    running = {row["id"] for row in sources if row["state"] != "disabled"}
    wanted = (row["from_node_id"] for row in moved if row["enabled"] and row["from_node_id"] in running)
    await record_removals(session, Counter(wanted))


def relocate_now(row: Row) -> NewEvent:
    """Of a proxy that has gone to another node at once."""
    details = {name: row[name] for name in ("from_node_id", "before", "port", "version")}
    return NewEvent(type="proxy.moved", proxy_id=row["id"], node_id=row["node_id"], details=details)
