"""The steps of a drain. Each is a transaction of its own, which reads again everything that it depends on."""

from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes import service as nodes
from master.domain.nodes.drain import affected_nodes, drain_from_row, insert_rotations, record_failures, relocate_unused
from master.domain.nodes.relocation import movable_proxies, target_nodes
from master.domain.proxies.service import lock_placement, lock_placement_among
from master.placement.rebalance import assign_nodes

MAX_STARTING = 64
"""Rotations from one node, and to one node, at a time: each new endpoint is sent, started and probed in turn."""
MIN_BATCH = 16
"""New rotations are requested in batches of at least this size."""


async def select_drain(session: Session, node_id: int) -> Row | None:
    """Return the present state of a drain, without a lock."""
    return await session.row("drain.select_drain", node_id=node_id)


async def move_unused(session: Session, node_id: int) -> None:
    """Move the proxies that nobody uses, as far as they fit elsewhere."""
    await lock_placement(session)
    row = await select_drain(session, node_id)
    if row is None:
        return
    drain = drain_from_row(row)
    await session.rows("placement.lock_nodes", ids=await affected_nodes(session, drain))
    if await session.row("drain.lock_drain", node_id=node_id) is not None:
        await record_events(session, await relocate_unused(session, drain))


async def request_rotations(session: Session, node_id: int) -> bool:
    """Request as many rotations as may be under way at once; the rotation runner carries them on.

    Return whether the node also has proxies that nobody uses.
    """
    row = await select_drain(session, node_id)
    if row is None or await session.row("drain.lock_drain", node_id=node_id) is None:
        return False
    drain, free = drain_from_row(row), MAX_STARTING - row["starting"]
    all_movers = await movable_proxies(session, [node_id])
    movers = [mover for mover in all_movers if mover.serves][:free]
    found = assign_nodes(movers, await target_nodes(session, movers, drain.where, starting=MAX_STARTING))
    rows = [{"proxy_id": proxy_id, "node_id": to_id} for proxy_id, to_id in found.placed.items()]
    await insert_rotations(session, rows, drain.overlap_s, drained_node_id=node_id)
    await record_events(session, await record_failures(session, drain, found.refused))
    return not all(mover.serves for mover in all_movers)


async def finish(session: Session, node_id: int) -> bool:
    """Record whether the node is empty. Return whether it was removed, because it is leaving."""
    await lock_placement_among(session, node_ids=[node_id])
    await session.rows("drain.lock_nodes", ids=[node_id])
    row = await select_drain(session, node_id)
    if row is None or not is_due(row):
        return False
    if row["leaving"] and row["is_empty"] and row["is_settled"]:
        await nodes.remove(session, node_id, with_proxies=False)
        return True
    await session.execute("drain.set_emptied", node_id=node_id, is_empty=row["is_empty"])
    if row["is_empty"]:
        await record_events(session, [NewEvent(type="node.emptied", node_id=node_id)])
    return False


def is_due(row: Row) -> bool:
    """Return whether the drain has something to record."""
    if row["is_empty"] != (row["emptied_at"] is not None):
        return True
    return bool(row["is_empty"] and row["leaving"] and row["is_settled"])


def may_start_more(row: Row) -> bool:
    """Return whether another batch of rotations may be requested."""
    return not row["is_empty"] and row["starting"] <= MAX_STARTING - MIN_BATCH
