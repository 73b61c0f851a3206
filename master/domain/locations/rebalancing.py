"""A location whose nodes have as many proxies as each other, as far as their limits let them."""

import asyncio
from collections.abc import Sequence

from master.db.database import Session
from master.domain.events.log import NewEvent, record_events
from master.domain.locations import service as locations
from master.domain.locations.schemas import NodeLoad, PlannedMove, RebalanceRequest, RebalanceResult
from master.domain.nodes.relocation import movers_of, places_of, put
from master.domain.proxies.service import lock_placement
from master.placement.rebalance import Move, RebalanceNode, balanced


async def rebalance(session: Session, location_id: int, body: RebalanceRequest, *, dry_run: bool) -> RebalanceResult:
    """Raises NotFound. What is asked of masters goes on by itself; a move that fails leaves its proxy where it is."""
    await locations.get(session, location_id)
    if not dry_run:
        await lock_placement(session)
    where = {"location_id": location_id, "node_ids": None}
    links = await session.rows("drain.select_targets", **where)
    movers = await movers_of(session, [row["id"] for row in links])
    places = [place for place in await places_of(session, movers, where) if place.candidate.state == "active"]
    there = {place.candidate.id for place in places}
    able = [mover for mover in movers if mover.node_id in there]
    moves = await asyncio.to_thread(balanced, able, places, most=body.max_moves)
    rotations = {} if dry_run else await carry_out(session, location_id, moves, body.overlap_s)
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
        nodes=loads(places, moves),
    )


async def carry_out(session: Session, location_id: int, moves: Sequence[Move], overlap_s: int) -> dict[int, int]:
    """The rotations by proxy."""
    if not moves:
        return {}
    ids = sorted({id_ for move in moves for id_ in (move.from_node_id, move.to_node_id)})
    await session.rows("placement.lock_nodes", ids=ids)
    moved, _ = await put(session, {move.proxy_id: move.to_node_id for move in moves if not move.serves})
    rows = [{"proxy_id": move.proxy_id, "node_id": move.to_node_id} for move in moves if move.serves]
    query = await session.rows("drain.insert_rotations", rows=rows, overlap_s=overlap_s, drained_node_id=None)
    details = {"moves": len(moves), "overlap_s": overlap_s}
    told = NewEvent(type="location.rebalanced", location_id=location_id, details=details)
    await record_events(session, [*moved, told])
    return {row["proxy_id"]: row["id"] for row in query}


def loads(places: Sequence[RebalanceNode], moves: Sequence[Move]) -> list[NodeLoad]:
    """By node."""
    before = {place.candidate.id: place.candidate.count for place in places}
    after = dict(before)
    for move in moves:
        after[move.from_node_id] -= 1
        after[move.to_node_id] += 1
    return [NodeLoad(node_id=id_, before=before[id_], after=after[id_]) for id_ in sorted(before)]
