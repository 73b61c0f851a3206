"""The nodes that proxies can move to, and moves at once, without a rotation."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.proxies.removal import record_removals
from master.placement.candidates import Candidate, Obstacle
from master.placement.rebalance import MovableProxy, RebalanceNode
from shared.proxies import NodeId, ProxyId

NO_PORT = "no port is free"
ANY = 2**31

Refusals = dict[ProxyId, tuple[Obstacle, ...]]


async def movable_proxies(session: Session, node_ids: Sequence[int]) -> list[MovableProxy]:
    """Return the proxies of these nodes that can move now, by id."""
    return [MovableProxy(**row) for row in await session.rows("drain.select_movable", node_ids=node_ids)]


async def target_nodes(
    session: Session, movers: Sequence[MovableProxy], where: Mapping[str, Any], *, starting: int = ANY
) -> list[RebalanceNode]:
    """Return the nodes that proxies can move to, with arrivals counted; each may start `starting` proxies at once."""
    targets = {row["id"]: row for row in await session.rows("drain.select_targets", **where)}
    engines: defaultdict[int, set[str]] = defaultdict(set)
    found: dict[int, Candidate] = {}
    for engine in sorted({mover.engine for mover in movers}):
        for row in await session.rows("placement.select_candidates", **where, engine=engine, port=None):
            if row["id"] in targets:
                found[row["id"]] = with_arrivals(Candidate(**row), targets[row["id"]])
                engines[row["id"]] |= {engine} if row["has_engine"] else set()
    return [
        RebalanceNode(
            candidate=candidate,
            ip=targets[id_]["ip"],
            engines=frozenset(engines[id_]),
            free=starting - targets[id_]["starting"],
        )
        for id_, candidate in found.items()
    ]


def with_arrivals(candidate: Candidate, target: Row) -> Candidate:
    """Return the candidate with the proxies on their way to it. An offline node can start nothing."""
    state = "offline" if candidate.state == "active" and not target["online"] else candidate.state
    count, used = candidate.count + target["waiting"], candidate.used + target["waiting"]
    return replace(candidate, state=state, count=count, used=used)


async def relocate(session: Session, placed: Mapping[ProxyId, NodeId]) -> tuple[list[NewEvent], Refusals]:
    """Move proxies to their new nodes at once; all nodes are locked. Return the events, and why others stayed."""
    nodes = {row["id"]: row for row in await session.rows("drain.select_nodes", ids=sorted(set(placed.values())))}
    by_node: defaultdict[NodeId, list[ProxyId]] = defaultdict(list)
    for proxy_id, node_id in placed.items():
        by_node[node_id].append(proxy_id)
    moved: list[Row] = []
    for node_id, ids in sorted(by_node.items()):
        await session.execute("placement.lock_ip", ip=nodes[node_id]["ip"])
        moved += await session.rows("drain.relocate", node_id=node_id, ids=ids)
    await record_departures(session, moved)
    left = placed.keys() - {row["id"] for row in moved}
    refused: Refusals = {id_: (Obstacle(node_id=placed[id_], reason=NO_PORT),) for id_ in sorted(left)}
    return [moved_event(row) for row in moved], refused


async def record_departures(session: Session, moved: Sequence[Row]) -> None:
    """Record for the wipe guards that these proxies left their nodes on purpose."""
    sources = await session.rows("drain.select_nodes", ids=sorted({row["from_node_id"] for row in moved}))
    running = {row["id"] for row in sources if row["state"] != "disabled"}
    stopped = (row["from_node_id"] for row in moved if row["enabled"] and row["from_node_id"] in running)
    await record_removals(session, Counter(stopped))


def moved_event(row: Row) -> NewEvent:
    """Return the event of a move without a rotation."""
    details = {name: row[name] for name in ("from_node_id", "before", "port", "version")}
    return NewEvent(type="proxy.moved", proxy_id=row["id"], node_id=row["node_id"], details=details)
