"""What a proxy's limits say at a moment, decided without I/O."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from node.engine.builtin.policy.quota_periods import QuotaUsage, next_start
from node.engine.builtin.policy.records import LimitsRecord

_PERIODS = {"total": "", "day": " a day", "month": " a month"}


class Suspension(NamedTuple):
    """Why a client is refused although it may use the proxy: counted under `word`, told to HTTP with `status`."""

    word: Literal["limit", "quota", "expired"]
    status: int
    reason: str


def suspension(limits: LimitsRecord, spent: QuotaUsage, now: float) -> Suspension | None:
    """`now` is the wall clock: one that is set back before the expiry lets the proxy serve again."""
    if limits.expires_at is not None and now >= limits.expires_at:
        return Suspension("expired", 403, f"this proxy expired at {_told(limits.expires_at)}")
    most, period = limits.traffic_bytes, limits.traffic_period
    if most is None or spent.within(period, now) < most:
        return None
    again = next_start(period, now)
    until = f"; it serves again at {_told(again)}" if again is not None else ""
    return Suspension("quota", 429, f"the traffic of this proxy is used up: {most} bytes{_PERIODS[period]}{until}")


def crowded(limits: LimitsRecord, connections: int) -> Suspension | None:
    """Whether one more is too many; those that are there stay, also where the limit was lowered meanwhile."""
    if limits.connections is None or connections < limits.connections:
        return None
    return Suspension("limit", 429, f"all {limits.connections} connections of this proxy are in use")


def rest(limits: LimitsRecord, spent: QuotaUsage, now: float) -> int | None:
    """Bytes that may still move in this period; None: any number."""
    most = limits.traffic_bytes
    return max(0, most - spent.within(limits.traffic_period, now)) if most is not None else None


def next_turn(limits: LimitsRecord, now: float) -> float | None:
    """When what `suspension` says may change although nothing moves; None: never."""
    turns = [limits.expires_at] if limits.expires_at is not None and limits.expires_at > now else []
    if limits.traffic_bytes is not None and (start := next_start(limits.traffic_period, now)) is not None:
        turns.append(start)
    return min(turns, default=None)


def _told(moment: float) -> str:
    """RFC 3339, to the second."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return "a time beyond the calendar"
