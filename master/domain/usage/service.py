"""Store the counters that nodes report, and sum them up."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.usage.schemas import UsageList, UsageSum
from shared.messages.bodies import UsageCounters
from shared.proxies import NodeId

HOURS_KEPT = timedelta(days=90)
"""After this time the hours of a day become one row, and counters of a proxy that left its node are ignored."""
MAX_EPOCHS = 10_000
"""Lives of one proxy's counters. A node starts a new one when the proxy moves to another worker process."""
FOLD_BATCH = 10_000
PERCENTS = (80, 100)
"""Shares of a traffic limit. Passing one is an event, once in each period."""


async def store_counters(session: Session, node_id: NodeId, counters: Iterable[UsageCounters]) -> list[NewEvent]:
    """Add the growth of these counters; the node's status is locked. Return the events to record."""
    rows = [usage.model_dump() for usage in highest(counters)]
    if not rows:
        return []
    grew = await session.execute("usage.store", node_id=node_id, rows=rows, kept=HOURS_KEPT, max_epochs=MAX_EPOCHS)
    if not grew:
        return []
    ids = sorted({row["id"] for row in rows})
    passed = await session.rows("usage.pass_thresholds", ids=ids, percents=list(PERCENTS))
    return [threshold_event(node_id, row) for row in passed]


def threshold_event(node_id: NodeId, row: Row) -> NewEvent:
    """Return the event of a proxy that has used this share of its traffic."""
    details = {name: row[name] for name in ("percent", "bytes", "limit_bytes", "period")}
    return NewEvent(type="usage.threshold", node_id=node_id, proxy_id=row["id"], details=details)


def highest(counters: Iterable[UsageCounters]) -> list[UsageCounters]:
    """Return one counter for each life: the highest, if a life is reported twice."""
    found: dict[tuple[int, int], UsageCounters] = {}
    for usage in counters:
        life = (usage.id, usage.epoch)
        found[life] = max(found.get(life, usage), usage, key=lambda one: one.received_bytes + one.sent_bytes)
    return list(found.values())


async def page(session: Session, query: UsageList) -> list[UsageSum]:
    """Return a page of sums, oldest and lowest ids first. Must run in a transaction."""
    await session.execute("usage.use_custom_plans")
    after_s, after_stack, after_proxy, after_node = query.after
    rows = await session.rows(
        "usage.select_page",
        span=query.span,
        by_proxy="proxy" in query.by,
        by_node="node" in query.by,
        by_stack="stack" in query.by,
        since=query.since,
        until=query.until,
        proxy_id=query.proxy_id,
        node_id=query.node_id,
        stack_id=query.stack_id,
        location_id=query.location_id,
        after_s=after_s,
        after_stack=after_stack,
        after_proxy=after_proxy,
        after_node=after_node,
        limit=query.limit,
    )
    return [sum_from_row(row, query) for row in rows]


def sum_from_row(row: Row, query: UsageList) -> UsageSum:
    """Build a sum from a row."""
    began = datetime.fromtimestamp(row["began_s"], UTC)
    sums: dict[str, Any] = {name: row[name] for name in ("received_bytes", "sent_bytes", "connections", "refused")}
    return UsageSum(
        hour=began if query.span == "hour" else None,
        day=began.date() if query.span == "day" else None,
        proxy_id=row["proxy_group"] or None,
        proxy_name=row["name"],
        node_id=row["node_group"] or None,
        stack_id=row["stack_group"] or None,
        **sums,
    )


async def forget(session: Session) -> None:
    """Fold old hours into days, and delete counters that no node reports any more."""
    while await session.execute("usage.fold", kept=HOURS_KEPT, max_rows=FOLD_BATCH):
        pass
    await session.execute("usage.forget_counters", kept=HOURS_KEPT)
    await session.execute("usage.forget_thresholds")
