"""Store the counters that nodes report, and sum them up."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.domain.usage.rollup import EPOCH, whole_days
from master.domain.usage.schemas import SumKeys, UsageList, UsagePage, UsageSum, sum_cursor
from master.schemas.filters import EXCLUSION, label_parameters
from shared.messages.bodies import UsageCounters
from shared.proxies import NodeId

HOURS_KEPT = timedelta(days=90)
"""After this time the hours of a day become one row, and counters of a proxy that left its node are ignored."""
SETTLED = timedelta(minutes=5)
"""After this time no transaction that began in an hour is still open: each of its statements has a limit of 30 s."""
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


async def page(session: Session, query: UsageList) -> UsagePage:
    """Return a page of sums, oldest and lowest ids first, or the largest. Must run first in a transaction."""
    await session.execute("usage.use_one_snapshot")
    await session.execute("usage.use_plans_of_sums")
    if query.sort is not None:
        return UsagePage(items=[sum_from_row(row, query) for row in await largest(session, query)], next=None)
    after = {f"after_{name.removesuffix('_s')}": key for name, key in query.after._asdict().items()}
    rows = await session.rows("usage.select_page", **parameters_of(query), **after)
    is_full = len(rows) == query.limit
    return UsagePage(
        items=[sum_from_row(row, query) for row in rows], next=sum_cursor(keys_of(rows[-1])) if is_full else None
    )


async def largest(session: Session, query: UsageList) -> Sequence[Row]:
    """Return the rows with the most bytes. Whole days are read as such, except for sums by hour."""
    rolled_until = EPOCH if query.span == "hour" else await session.value("usage.rolled_until")
    days_from, days_until = whole_days(query.since, query.until, rolled_until)
    return await session.rows(
        "usage.select_largest", **parameters_of(query), days_from=days_from, days_until=days_until
    )


def parameters_of(query: UsageList) -> dict[str, Any]:
    """Return the parameters that both lists have."""
    filters = ("proxy_id", "node_id", "stack_id", "location_id")
    return {
        **{f"by_{group}": group in query.by for group in ("proxy", "node", "stack", "location")},
        **{name: getattr(query, name) for name in ("span", "label_key", "since", "until", "limit")},
        **{name: getattr(query, name) or None for name in filters},
        **label_parameters("", query.label),
        **label_parameters(EXCLUSION, query.not_label),
    }


def keys_of(row: Row) -> SumKeys:
    """Return the keys of a row, by which lists go on."""
    return SumKeys(max(row["began_s"], 0), *(row[f"{name}_group"] for name in SumKeys._fields[1:]))


def sum_from_row(row: Row, query: UsageList) -> UsageSum:
    """Build a sum from a row."""
    began = datetime.fromtimestamp(row["began_s"], UTC)
    sums: dict[str, Any] = {name: row[name] for name in ("received_bytes", "sent_bytes", "connections", "refused")}
    label = row["label_group"]
    return UsageSum(
        hour=began if query.span == "hour" else None,
        day=began.date() if query.span == "day" else None,
        proxy_id=row["proxy_group"] or None,
        proxy_name=row["name"],
        node_id=row["node_group"] or None,
        stack_id=row["stack_group"] or None,
        location_id=row["location_group"] or None,
        labels={query.label_key: label[1:] if label else None} if query.label_key is not None else None,
        **sums,
    )


async def roll_up(session: Session) -> None:
    """Add the hours that have ended to their days, one hour after the other."""
    while await session.execute("usage.roll_up", settled=SETTLED):
        pass


async def forget(session: Session) -> None:
    """Fold old hours into one row a day, and delete counters that no node reports any more."""
    await roll_up(session)
    while await session.execute("usage.fold", kept=HOURS_KEPT, max_rows=FOLD_BATCH):
        pass
    await session.execute("usage.forget_counters", kept=HOURS_KEPT)
    await session.execute("usage.forget_thresholds")
