"""Even out the number of proxies among the nodes of a location, as far as their limits allow."""

import asyncio
from collections.abc import Sequence

from master.db.database import Session
from master.domain.events.log import NewEvent, record_events
from master.domain.locations import service as locations
from master.domain.locations.schemas import NodeBalance, PlannedMove, RebalanceRequest, RebalanceResult
from master.domain.nodes.drain import insert_rotations
from master.domain.nodes.relocation import movable_proxies, relocate, target_nodes
from master.domain.proxies.service import lock_placement_among
from master.placement.rebalance import Move, RebalanceNode, plan_rebalance


async def rebalance(session: Session, location_id: int, body: RebalanceRequest, *, dry_run: bool) -> RebalanceResult:
    """Plan the moves and start them; the masters carry them on. A move that fails leaves its proxy. Raises NotFound."""
    await locations.get(session, location_id)
    if not dry_run:
        await lock_placement_among(session, location_ids=[location_id])
    where = {"location_id": location_id, "node_ids": None}
    targets = await session.rows("drain.select_targets", **where)
    movers = await movable_proxies(session, [row["id"] for row in targets])
    nodes = [node for node in await target_nodes(session, movers, where) if node.candidate.state == "active"]
    active = {node.candidate.id for node in nodes}
    able = [mover for mover in movers if mover.node_id in active]
    moves = await asyncio.to_thread(plan_rebalance, able, nodes, max_moves=body.max_moves)
    rotations = {} if dry_run else await apply_moves(session, location_id, moves, body.overlap_s)
    return RebalanceResult(
        moves=[
            PlannedMove(
                proxy_id=move.proxy_id,
                from_node_id=move.from_node_id,
                to_node_id=move.to_node_id,
                rotation_id=rotations.get(move.proxy_id),
            )
            for move in moves
        ],
        nodes=node_loads(nodes, moves),
    )


async def apply_moves(session: Session, location_id: int, moves: Sequence[Move], overlap_s: int) -> dict[int, int]:
    """Move proxies that nobody uses, and request rotations of the others. Return the rotations by proxy."""
    if not moves:
        return {}
    ids = sorted({id_ for move in moves for id_ in (move.from_node_id, move.to_node_id)})
    await session.rows("placement.lock_nodes", ids=ids)
    moved, _ = await relocate(session, {move.proxy_id: move.to_node_id for move in moves if not move.serves})
    rows = [{"proxy_id": move.proxy_id, "node_id": move.to_node_id} for move in moves if move.serves]
    started = await insert_rotations(session, rows, overlap_s, drained_node_id=None)
    details = {"moves": len(moves), "overlap_s": overlap_s}
    rebalanced = NewEvent(type="location.rebalanced", location_id=location_id, details=details)
    await record_events(session, [*moved, rebalanced])
    return {row["proxy_id"]: row["id"] for row in started}


def node_loads(nodes: Sequence[RebalanceNode], moves: Sequence[Move]) -> list[NodeBalance]:
    """Return the number of proxies of each node before and after the moves."""
    before = {node.candidate.id: node.candidate.count for node in nodes}
    after = dict(before)
    for move in moves:
        after[move.from_node_id] -= 1
        after[move.to_node_id] += 1
    return [NodeBalance(node_id=id_, before=before[id_], after=after[id_]) for id_ in sorted(before)]
