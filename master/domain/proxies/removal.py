"""The removal of proxies, which the nodes' wipe guards must know of."""

from collections import Counter
from collections.abc import Mapping, Sequence

from master.api.writes.outcomes import WriteOutcome, revisions_of
from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events


async def delete(session: Session, rows: Sequence[Row]) -> WriteOutcome:
    """Remove single proxies, which lowers the counts of their stacks. Their nodes are locked."""
    outcome = await delete_rows(session, rows)
    await record_events(session, [*(deleted_event(row) for row in rows), *await scaled_down_events(session, rows)])
    return outcome


async def delete_rows(session: Session, rows: Sequence[Row]) -> WriteOutcome:
    """Remove proxies without events. Their nodes are locked."""
    await session.execute("proxies.delete", ids=[row["id"] for row in rows])
    running = (row["node_id"] for row in rows if row["enabled"] and row["node_state"] != "disabled")
    await record_removals(session, Counter(running))
    revisions = await revisions_of(session, {row["node_id"] for row in rows})
    return WriteOutcome(matched=len(rows), changed=tuple(row["id"] for row in rows), revisions=revisions)


async def record_removals(session: Session, counts: Mapping[int, int]) -> None:
    """Record how many proxies leave each node on purpose, after the nodes' revisions have been raised."""
    real = {node_id: count for node_id, count in counts.items() if count}
    if real:
        await session.execute("proxies.insert_removals", ids=list(real), counts=list(real.values()))


def deleted_event(row: Row) -> NewEvent:
    """Return the event of a removal."""
    details = {"name": row["name"], "port": row["port"]}
    subjects = {"proxy_id": row["id"], "node_id": row["node_id"], "stack_id": row["stack_id"]}
    return NewEvent(type="proxy.deleted", **subjects, details=details)


async def scaled_down_events(session: Session, rows: Sequence[Row]) -> list[NewEvent]:
    """Return an event for each stack that these removed proxies belonged to."""
    removed = Counter(row["stack_id"] for row in rows if row["stack_id"] is not None)
    stacks = await session.rows("proxies.select_stacks", ids=sorted(removed)) if removed else []
    return [scaled_event(stack, stack["count"] + removed[stack["id"]], stack["count"]) for stack in stacks]


def scaled_event(stack: Row, before: int, count: int) -> NewEvent:
    """Return the event of a changed count."""
    details = {"name": stack["name"], "before": before, "count": count}
    return NewEvent(type="stack.scaled", stack_id=stack["id"], details=details)
