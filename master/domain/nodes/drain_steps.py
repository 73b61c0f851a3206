"""Carries drains on: each step is a transaction of its own, which looks again at all that it stands on."""

from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.nodes import service as nodes
from master.domain.nodes.drain import concerned, drain_in, note_failures, place_unused
from master.domain.nodes.relocation import movers_of, places_of
from master.domain.proxies.service import lock_placement
from master.placement.rebalance import spread

MOST_STARTING = 64
"""From one node, and to one node, at once: each is told, started and probed, and none shall wait long for its turn."""
BATCH = 16
"""Fewer are not worth a look."""


async def look(session: Session, node_id: int) -> Row | None:
    """How a drain stands; nothing is locked."""
    return await session.row("drain.select_drain", node_id=node_id)


async def place(session: Session, node_id: int) -> None:
    """What nobody uses goes at once, as far as it fits elsewhere."""
    await lock_placement(session)
    row = await look(session, node_id)
    if row is None:
        return
    drain = drain_in(row)
    await session.rows("placement.lock_nodes", ids=await concerned(session, drain))
    if await session.row("drain.lock_drain", node_id=node_id) is not None:
        await record_events(session, await place_unused(session, drain))


async def ask(session: Session, node_id: int) -> bool:
    """Have as many rotated away as may be under way at once; each then goes on by itself.

    Whether there are others besides, which nobody uses.
    """
    row = await look(session, node_id)
    if row is None or await session.row("drain.lock_drain", node_id=node_id) is None:
        return False
    drain, free = drain_in(row), MOST_STARTING - row["starting"]
    all_movers = await movers_of(session, [node_id])
    movers = [mover for mover in all_movers if mover.serves][:free]
    found = spread(movers, await places_of(session, movers, drain.where, starting=MOST_STARTING))
    rows = [{"proxy_id": proxy_id, "node_id": to_id} for proxy_id, to_id in found.placed.items()]
    await session.rows("drain.insert_rotations", rows=rows, overlap_s=drain.overlap_s, drained_node_id=node_id)
    await record_events(session, await note_failures(session, drain, found.refused))
    return not all(mover.serves for mover in all_movers)


async def finish(session: Session, node_id: int) -> bool:
    """Note that the node is empty, or is not so any more; whether it has been removed, as it was to be."""
    await lock_placement(session)
    await session.rows("drain.lock_nodes", ids=[node_id])
    row = await look(session, node_id)
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
    """Whether there is something to note of a drain."""
    if row["is_empty"] != (row["emptied_at"] is not None):
        return True
    return bool(row["is_empty"] and row["leaving"] and row["is_settled"])


def has_room(row: Row) -> bool:
    """Whether a batch may be asked for."""
    return not row["is_empty"] and row["starting"] <= MOST_STARTING - BATCH
