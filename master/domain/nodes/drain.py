"""The start and the end of drains, which move the proxies of a node to other nodes.

A proxy that may be in use moves by rotation; the others move at once. A drain is a row in `drains`, and the masters
carry it on step by step, each step in a transaction (drain_steps). Lock order: placement, the nodes by id, the ip, the
drain, the rotation, the log.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from master.actors import cause
from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes import service as nodes
from master.domain.nodes.relocation import movable_proxies, relocate, target_nodes
from master.domain.nodes.schemas import Node, NodePatch
from master.domain.proxies.creation import check_nodes
from master.domain.proxies.service import lock_placement
from master.domain.rotation import steps as rotation_steps
from master.errors import InsufficientCapacity, Invalid, NodeCapacity, insufficient_capacity, invalid_at
from master.placement.candidates import Obstacle
from master.placement.rebalance import assign_nodes, obstacles_text
from shared.proxies import NodeId, ProxyId

OVERLAP_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Drain:
    """Where the proxies of a node move, and how."""

    node_id: NodeId
    location_id: int | None
    node_ids: Sequence[int] | None
    overlap_s: int
    leaving: bool

    @property
    def where(self) -> dict[str, Any]:
        """The parameters of a query for the target nodes."""
        return {"location_id": self.location_id if self.node_ids is None else None, "node_ids": self.node_ids}


async def change_node(session: Session, id_: int, body: NodePatch) -> Node:
    """Change a node as nodes.change does, and start or stop a move of its proxies. Raises Invalid, too."""
    is_moved = body.move if "move" in body.model_fields_set else None
    if not is_moved and body.model_fields_set & {"overlap_s", "node_ids"}:
        raise invalid_at("overlap_s and node_ids need move to be true", "/move")
    if is_moved is None:
        return await nodes.change(session, id_, body)
    await lock_placement(session)
    row = existing(await session.row("nodes.select_one", id=id_), "node", id_)
    news: list[NewEvent] = []
    if is_moved:
        if (body.state or row["state"]) != "draining":
            raise invalid_at("only a draining node moves its proxies: set state to draining", "/move")
        drain = await requested_drain(session, row, body.node_ids, body.overlap_s)
        if drain.location_id is None and drain.node_ids is None:
            raise invalid_at(f"node {id_} has no location: give node_ids", "/node_ids")
        news = await begin(session, drain)
    await nodes.change(session, id_, body)
    if not is_moved and await session.execute("drain.stop", node_id=id_):
        news = [NewEvent(type="node.updated", node_id=id_, details={"changed": ["move"]})]
    await record_events(session, news)
    return await nodes.get(session, id_)


async def leave(session: Session, id_: int, overlap_s: int) -> Node | None:
    """Move the proxies of a node and delete it when it is empty; return None if it was deleted now.

    The proxies of an offline node move at once, all or none. Raises NotFound, Invalid, InsufficientCapacity.
    """
    await lock_placement(session)
    row = existing(await session.row("nodes.select_one", id=id_), "node", id_)
    drain = await requested_drain(session, row, None, overlap_s, leaving=True)
    rotations = await session.rows("drain.select_rotations", node_id=id_)
    [node] = await session.rows("drain.select_nodes", ids=[id_])
    count = node["proxy_count"]
    if count and drain.location_id is None and drain.node_ids is None:
        detail = f"node {id_} has no location: have it move to named nodes first (PATCH, node_ids)"
        raise Invalid(detail, {"errors": [{"parameter": "proxies", "detail": detail}]})
    if row["link"] == "online" and (count or rotations):
        news = await begin(session, drain)
        await nodes.change(session, id_, NodePatch(state="draining"))
        await record_events(session, news)
        return await nodes.get(session, id_)
    if count or rotations:
        await evacuate(session, drain)
    await nodes.remove(session, id_, with_proxies=False)
    return None


async def requested_drain(
    session: Session, row: Row, node_ids: Sequence[int] | None, overlap_s: int | None, *, leaving: bool = False
) -> Drain:
    """Return the requested drain. Members that are not given keep the values of the present drain. Raises Invalid."""
    if node_ids is not None:
        await check_nodes(session, node_ids)
    before = await session.row("drain.select_drain", node_id=row["id"]) or {}
    return Drain(
        node_id=row["id"],
        location_id=row["location_id"],
        node_ids=before.get("node_ids") if node_ids is None else node_ids,
        overlap_s=before.get("overlap_s", OVERLAP_S) if overlap_s is None else overlap_s,
        leaving=leaving or before.get("leaving", False),
    )


def drain_from_row(row: Row) -> Drain:
    """Build a drain from a row of drain.select_drain."""
    return Drain(**{name: row[name] for name in Drain.__dataclass_fields__})


async def begin(session: Session, drain: Drain) -> list[NewEvent]:
    """Start a drain: proxies that nobody uses move now, the others by rotations. Return the events to record."""
    before = await session.row("drain.select_drain", node_id=drain.node_id)
    await session.rows("drain.lock_nodes", ids=await affected_nodes(session, drain))
    settings = {"node_ids": drain.node_ids, "overlap_s": drain.overlap_s, "leaving": drain.leaving}
    await session.execute("drain.begin", node_id=drain.node_id, **settings)
    is_news = before is None or drain_from_row(before) != drain
    news = [NewEvent(type="node.moving", node_id=drain.node_id, details=settings)] if is_news else []
    return [*news, *await relocate_unused(session, drain)]


async def affected_nodes(session: Session, drain: Drain) -> list[int]:
    """Return the node and the nodes that its proxies may move to; placement is locked."""
    targets = await session.rows("drain.select_targets", **drain.where)
    return sorted({drain.node_id, *(target["id"] for target in targets)})


async def relocate_unused(session: Session, drain: Drain) -> list[NewEvent]:
    """Move the proxies that nobody uses; all nodes are locked. Return the events to record."""
    movers = [mover for mover in await movable_proxies(session, [drain.node_id]) if not mover.serves]
    found = assign_nodes(movers, await target_nodes(session, movers, drain.where))
    moved, stayed = await relocate(session, found.placed)
    return [*moved, *await record_failures(session, drain, {**found.refused, **stayed})]


async def evacuate(session: Session, drain: Drain) -> None:
    """Move all proxies of the node at once. Raises InsufficientCapacity when not all of them fit elsewhere."""
    await end_rotations(session, drain)
    await session.execute("drain.begin", node_id=drain.node_id, node_ids=drain.node_ids, overlap_s=0, leaving=True)
    movers = await movable_proxies(session, [drain.node_id])
    found = assign_nodes(movers, await target_nodes(session, movers, drain.where))
    moved, stayed = await relocate(session, found.placed)
    if refused := {**found.refused, **stayed}:
        raise not_evacuated([node_id for id_, node_id in found.placed.items() if id_ not in refused], refused)
    await record_events(session, moved)


async def insert_rotations(
    session: Session, rows: Sequence[Row], overlap_s: int, *, drained_node_id: int | None
) -> list[Row]:
    """Request rotations of proxies to nodes (`proxy_id`, `node_id`). Return the rotations that no open one prevents."""
    now = cause()
    whence = {"drained_node_id": drained_node_id, "actor": now.actor, "request_id": now.request_id}
    return await session.rows("drain.insert_rotations", rows=rows, overlap_s=overlap_s, **whence)


async def end_rotations(session: Session, drain: Drain) -> None:
    """Lock all affected nodes, and end every rotation from the node or to it."""
    rotations = await session.rows("drain.select_rotations", node_id=drain.node_id)
    ends = {id_ for row in rotations for id_ in (row["node_id"], row["endpoint_node_id"]) if id_ is not None}
    ids = sorted({*await affected_nodes(session, drain), *ends})
    for row in await session.rows("drain.lock_nodes", ids=ids):
        await session.execute("placement.lock_ip", ip=row["ip"])
    for row in await session.rows("drain.select_rotations", node_id=drain.node_id):
        if row["state"] == "overlap":
            await rotation_steps.end(session, row["id"])
        else:
            await rotation_steps.fail(session, row["id"], f"node {drain.node_id} is removed")


async def record_failures(
    session: Session, drain: Drain, refused: Mapping[ProxyId, Sequence[Obstacle]]
) -> list[NewEvent]:
    """Store why proxies cannot move, for a later attempt. Return the events to record, one for each new reason."""
    rows = [{"proxy_id": id_, "reason": obstacles_text(obstacles)} for id_, obstacles in refused.items()]
    news = await session.rows("drain.store_failures", node_id=drain.node_id, rows=rows) if rows else []
    return [
        NewEvent(
            type="proxy.move_failed", proxy_id=row["proxy_id"], node_id=drain.node_id, details={"reason": row["reason"]}
        )
        for row in news
    ]


def not_evacuated(placed: Iterable[NodeId], refused: Mapping[ProxyId, Sequence[Obstacle]]) -> InsufficientCapacity:
    """Return the conflict when nothing was moved: what each node could have taken, and why no more."""
    taken = Counter(placed)
    reasons = {one.node_id: one.reason for obstacles in refused.values() for one in obstacles}
    shares = [NodeCapacity(node_id=id_, possible=taken[id_], reason=reason) for id_, reason in reasons.items()]
    count = taken.total() + len(refused)
    detail = f"{len(refused)} of {count} proxies fit on no other node, so nothing was moved"
    return insufficient_capacity(detail, requested=count, possible=taken.total(), by_node=shares)
