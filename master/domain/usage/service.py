"""What proxies are used for: takes the counters that nodes tell, and sums them up."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.usage.schemas import UsageList
from master.domain.usage.schemas import UsageSum as ShownUsage
from shared.messages.bodies import UsageCounters
from shared.proxies import NodeId

HOURS_KEPT = timedelta(days=90)
"""Then a day's hours become one row, and new counters of a proxy that has left its node are no longer taken."""
MOST_EPOCHS = 10_000
"""Lives of one proxy's counters; an honest node begins one when a proxy comes to another worker process."""
FOLD_AT_ONCE = 10_000
PERCENTS = (80, 100)
"""Of a traffic limit: whoever passes one is told of, once in each period."""


async def take(session: Session, node_id: NodeId, told: Iterable[UsageCounters]) -> list[NewEvent]:
    """Add by how much these counters grew; the node's status is locked already. What is to be recorded of it."""
    rows = [usage.model_dump() for usage in highest(told)]
    if not rows:
        return []
    grew = await session.execute("usage.store", node_id=node_id, rows=rows, kept=HOURS_KEPT, most_epochs=MOST_EPOCHS)
    if not grew:
        return []
    ids = sorted({row["id"] for row in rows})
    passed = await session.rows("usage.pass_thresholds", ids=ids, percents=list(PERCENTS))
    return [threshold(node_id, row) for row in passed]


def threshold(node_id: NodeId, row: Row) -> NewEvent:
    """Of a proxy that has used so much of its traffic."""
    details = {name: row[name] for name in ("percent", "bytes", "limit_bytes", "period")}
    return NewEvent(type="usage.threshold", node_id=node_id, proxy_id=row["id"], details=details)


def highest(told: Iterable[UsageCounters]) -> list[UsageCounters]:
    """One counter a life: the one that counted most when a life is told twice."""
    found: dict[tuple[int, int], UsageCounters] = {}
    for usage in told:
        life = (usage.id, usage.epoch)
        found[life] = max(found.get(life, usage), usage, key=lambda one: one.received_bytes + one.sent_bytes)
    return list(found.values())


async def page(session: Session, query: UsageList) -> list[ShownUsage]:
    """Sums by what is asked for, oldest and lowest ids first; in a transaction."""
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
    return [shown(row, query) for row in rows]


def shown(row: Row, query: UsageList) -> ShownUsage:
    """Out of a row of sums."""
    began = datetime.fromtimestamp(row["began_s"], UTC)
    sums: dict[str, Any] = {name: row[name] for name in ("received_bytes", "sent_bytes", "connections", "refused")}
    return ShownUsage(
        hour=began if query.span == "hour" else None,
        day=began.date() if query.span == "day" else None,
        proxy_id=row["proxy_group"] or None,
        proxy_name=row["name"],
        node_id=row["node_group"] or None,
        stack_id=row["stack_group"] or None,
        **sums,
    )


async def forget(session: Session) -> None:
    """Fold hours that are long past into days, and let go of counters that nobody tells any more."""
    while await session.execute("usage.fold", kept=HOURS_KEPT, most=FOLD_AT_ONCE):
        pass
    await session.execute("usage.forget_counters", kept=HOURS_KEPT)
    await session.execute("usage.forget_thresholds")
