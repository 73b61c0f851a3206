"""Nodes that give their proxies away: by make before break what may be in use, at once what nobody uses.

A draining node that moves has a row in `drains`, which says what shall be; masters carry it on step by step, each a
transaction. Lock order: placement, the nodes by id, the ip, the drain, the rotation, the log.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from master.db.database import Row, Session
from master.db.rows import existing
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes import service as nodes
from master.domain.nodes.relocation import movers_of, places_of, put
from master.domain.nodes.schemas import Node, NodePatch
from master.domain.proxies.creation import check_nodes
from master.domain.proxies.service import lock_placement
from master.domain.rotation import steps as rotation_steps
from master.errors import InsufficientCapacity, Invalid, NodeCapacity, insufficient_capacity, pointed
from master.placement.candidates import Obstacle
from master.placement.rebalance import said, spread
from shared.proxies import NodeId, ProxyId

OVERLAP_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Drain:
    """Where a node's proxies go, and how."""

    node_id: NodeId
    location_id: int | None
    node_ids: Sequence[int] | None
    overlap_s: int
    leaving: bool

    @property
    def where(self) -> dict[str, Any]:
        """As parameters of a query."""
        return {"location_id": self.location_id if self.node_ids is None else None, "node_ids": self.node_ids}


async def change_node(session: Session, id_: int, body: NodePatch) -> Node:
    """As nodes.change, and the node's proxies begin to move, or do so no more. Raises Invalid besides."""
    is_moved = body.move if "move" in body.model_fields_set else None
    if not is_moved and body.model_fields_set & {"overlap_s", "node_ids"}:
        raise pointed("overlap_s and node_ids are for a move", "/move")
    if is_moved is None:
        return await nodes.change(session, id_, body)
    await lock_placement(session)
    row = existing(await session.row("nodes.select_one", id=id_), "node", id_)
    news: list[NewEvent] = []
    if is_moved:
        if (body.state or row["state"]) != "draining":
            raise pointed("only a draining node moves its proxies: say state draining", "/move")
        drain = await drain_of(session, row, body.node_ids, body.overlap_s)
        if drain.location_id is None and drain.node_ids is None:
            raise pointed(f"node {id_} has no location: say node_ids", "/node_ids")
        news = await begin(session, drain)
    await nodes.change(session, id_, body)
    if not is_moved and await session.execute("drain.stop", node_id=id_):
        news = [NewEvent(type="node.updated", node_id=id_, details={"changed": ["move"]})]
    await record_events(session, news)
    return await nodes.get(session, id_)


async def leave(session: Session, id_: int, overlap_s: int) -> Node | None:
    """The node gives its proxies away and goes when it is empty; None: it has gone.

    What an offline node has is placed anew at once, all of it or nothing. Raises NotFound, Invalid,
    InsufficientCapacity.
    """
    await lock_placement(session)
    row = existing(await session.row("nodes.select_one", id=id_), "node", id_)
    drain = await drain_of(session, row, None, overlap_s, leaving=True)
    touching = await session.rows("drain.select_rotations", node_id=id_)
    [there] = await session.rows("drain.select_nodes", ids=[id_])
    count = there["proxy_count"]
    if count and drain.location_id is None and drain.node_ids is None:
        detail = f"node {id_} has no location: have it move to named nodes first (PATCH, node_ids)"
        raise Invalid(detail, {"errors": [{"parameter": "proxies", "detail": detail}]})
    if row["link"] == "online" and (count or touching):
        news = await begin(session, drain)
        await nodes.change(session, id_, NodePatch(state="draining"))
        await record_events(session, news)
        return await nodes.get(session, id_)
    if count or touching:
        await evacuate(session, drain)
    await nodes.remove(session, id_, with_proxies=False)
    return None


async def drain_of(
    session: Session, row: Row, node_ids: Sequence[int] | None, overlap_s: int | None, *, leaving: bool = False
) -> Drain:
    """What is asked for; what is not said stays as it was said before. Raises Invalid."""
    if node_ids is not None:
        await check_nodes(session, node_ids)
    before = await session.row("drain.select_drain", node_id=row["id"]) or {}
    known_s = before.get("overlap_s", OVERLAP_S)
    return Drain(
        node_id=row["id"],
        location_id=row["location_id"],
        node_ids=before.get("node_ids") if node_ids is None else node_ids,
        overlap_s=known_s if overlap_s is None else overlap_s,
        leaving=leaving or before.get("leaving", False),
    )


def drain_in(row: Row) -> Drain:
    """Out of a row of moves.select_drain."""
    return Drain(**{name: row[name] for name in Drain.__dataclass_fields__})


async def begin(session: Session, drain: Drain) -> list[NewEvent]:
    """From now on masters move the node's proxies; what nobody uses is gone already. What is to be recorded."""
    before = await session.row("drain.select_drain", node_id=drain.node_id)
    await session.rows("drain.lock_nodes", ids=await concerned(session, drain))
    query = {"node_ids": drain.node_ids, "overlap_s": drain.overlap_s, "leaving": drain.leaving}
    await session.execute("drain.begin", node_id=drain.node_id, **query)
    is_news = before is None or drain_in(before) != drain
    news = [NewEvent(type="node.moving", node_id=drain.node_id, details=query)] if is_news else []
    return [*news, *await place_unused(session, drain)]


async def concerned(session: Session, drain: Drain) -> list[int]:
    """The node and those that its proxies may go to, as long as placement is locked."""
    places = await session.rows("drain.select_targets", **drain.where)
    return sorted({drain.node_id, *(place["id"] for place in places)})


async def place_unused(session: Session, drain: Drain) -> list[NewEvent]:
    """Place anew what nobody uses; all nodes are locked. What is to be recorded."""
    movers = [mover for mover in await movers_of(session, [drain.node_id]) if not mover.serves]
    found = spread(movers, await places_of(session, movers, drain.where))
    moved, stayed = await put(session, found.placed)
    return [*moved, *await note_failures(session, drain, {**found.refused, **stayed})]


async def evacuate(session: Session, drain: Drain) -> None:
    """Place anew whatever the node has. Raises InsufficientCapacity, when not all of it fits elsewhere."""
    await release(session, drain)
    await session.execute("drain.begin", node_id=drain.node_id, node_ids=drain.node_ids, overlap_s=0, leaving=True)
    movers = await movers_of(session, [drain.node_id])
    found = spread(movers, await places_of(session, movers, drain.where))
    moved, stayed = await put(session, found.placed)
    if refused := {**found.refused, **stayed}:
        raise stranded([node_id for id_, node_id in found.placed.items() if id_ not in refused], refused)
    await record_events(session, moved)


async def release(session: Session, drain: Drain) -> None:
    """Lock all that is concerned, and end every rotation from the node or to it."""
    touching = await session.rows("drain.select_rotations", node_id=drain.node_id)
    ends = {id_ for row in touching for id_ in (row["node_id"], row["endpoint_node_id"]) if id_ is not None}
    ids = sorted({*await concerned(session, drain), *ends})
    for row in await session.rows("drain.lock_nodes", ids=ids):
        await session.execute("placement.lock_ip", ip=row["ip"])
    for row in await session.rows("drain.select_rotations", node_id=drain.node_id):
        if row["state"] == "overlap":
            await rotation_steps.end(session, row["id"])
        else:
            await rotation_steps.fail(session, row["id"], f"node {drain.node_id} is removed")


async def note_failures(
    session: Session, drain: Drain, refused: Mapping[ProxyId, Sequence[Obstacle]]
) -> list[NewEvent]:
    """These are tried again later; what is to be recorded, once for each reason."""
    rows = [{"proxy_id": id_, "reason": said(obstacles)} for id_, obstacles in refused.items()]
    news = await session.rows("drain.store_failures", node_id=drain.node_id, rows=rows) if rows else []
    return [
        NewEvent(
            type="proxy.move_failed", proxy_id=row["proxy_id"], node_id=drain.node_id, details={"reason": row["reason"]}
        )
        for row in news
    ]


def stranded(placed: Iterable[NodeId], refused: Mapping[ProxyId, Sequence[Obstacle]]) -> InsufficientCapacity:
    """Nothing was done: say what each node would have taken, and why no more."""
    taken = Counter(placed)
    reasons = {one.node_id: one.reason for obstacles in refused.values() for one in obstacles}
    shares = [NodeCapacity(node_id=id_, possible=taken[id_], reason=reason) for id_, reason in reasons.items()]
    wanted = taken.total() + len(refused)
    detail = f"{len(refused)} of {wanted} proxies fit on no other node: nothing was done"
    return insufficient_capacity(detail, wanted=wanted, possible=taken.total(), by_node=shares)
