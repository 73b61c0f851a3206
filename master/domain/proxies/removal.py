"""Proxies that are taken away, and how many of them the wipe guard is told of."""

from collections import Counter
from collections.abc import Mapping, Sequence

from master.api.outcomes import WriteOutcome, revisions_of
from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.proxies.stack_counts import scaled_down


async def delete(session: Session, rows: Sequence[Row]) -> WriteOutcome:
    """Take these away, each by itself: their stacks want so many fewer. Their nodes are locked already."""
    outcome = await take_away(session, rows)
    await record_events(session, [*(deleted(row) for row in rows), *await scaled_down(session, rows)])
    return outcome


async def take_away(session: Session, rows: Sequence[Row]) -> WriteOutcome:
    """Without a word in the log; their nodes are locked already."""
    await session.execute("proxies.delete", ids=[row["id"] for row in rows])
    wanted = (row["node_id"] for row in rows if row["enabled"] and row["node_state"] != "disabled")
    await record_removals(session, Counter(wanted))
    revisions = await revisions_of(session, {row["node_id"] for row in rows})
    return WriteOutcome(matched=len(rows), changed=tuple(row["id"] for row in rows), revisions=revisions)


async def record_removals(session: Session, counts: Mapping[int, int]) -> None:
    """Tell the wipe guard how many go from each node on purpose; the nodes' revisions are raised already."""
    real = {node_id: count for node_id, count in counts.items() if count}
    if real:
        await session.execute("proxies.insert_removals", ids=list(real), counts=list(real.values()))


def deleted(row: Row) -> NewEvent:
    """The event of a removal."""
    details = {"name": row["name"], "port": row["port"]}
    subjects = {"proxy_id": row["id"], "node_id": row["node_id"], "stack_id": row["stack_id"]}
    return NewEvent(type="proxy.deleted", **subjects, details=details)
