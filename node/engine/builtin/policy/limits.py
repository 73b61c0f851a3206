"""Applies the limits of a proxy at a given moment, without I/O."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from node.engine.builtin.policy.quota_periods import QuotaUsage, next_start
from node.engine.builtin.policy.records import LimitsRecord

_PERIODS = {"total": "", "day": " a day", "month": " a month"}


class Suspension(NamedTuple):
    """Why a client is refused although it may use the proxy. `word` is the reason in usage counters, `status` the HTTP
    status."""

    word: Literal["limit", "quota", "expired"]
    status: int
    reason: str


def suspension(limits: LimitsRecord, spent: QuotaUsage, now: float) -> Suspension | None:
    """Why the proxy serves nobody at `now`, a wall-clock time, or None. When the clock is set back before the expiry,
    the proxy serves again."""
    if limits.expires_at is not None and now >= limits.expires_at:
        return Suspension("expired", 403, f"this proxy expired at {_timestamp(limits.expires_at)}")
    most, period = limits.traffic_bytes, limits.traffic_period
    if most is None or spent.within(period, now) < most:
        return None
    again = next_start(period, now)
    until = f"; it serves again at {_timestamp(again)}" if again is not None else ""
    return Suspension("quota", 429, f"the traffic of this proxy is used up: {most} bytes{_PERIODS[period]}{until}")


def slot_refusal(limits: LimitsRecord, connections: int) -> Suspension | None:
    """The refusal if one more connection is too many. Open connections stay, also when the limit is lowered."""
    if limits.connections is None or connections < limits.connections:
        return None
    return Suspension("limit", 429, f"all {limits.connections} connections of this proxy are in use")


def quota_left(limits: LimitsRecord, spent: QuotaUsage, now: float) -> int | None:
    """Bytes that may still move in this period; None if traffic is not limited."""
    most = limits.traffic_bytes
    return max(0, most - spent.within(limits.traffic_period, now)) if most is not None else None


def next_change(limits: LimitsRecord, now: float) -> float | None:
    """The next time at which `suspension` may change without any traffic; None if there is none."""
    moments = [limits.expires_at] if limits.expires_at is not None and limits.expires_at > now else []
    if limits.traffic_bytes is not None and (start := next_start(limits.traffic_period, now)) is not None:
        moments.append(start)
    return min(moments, default=None)


def _timestamp(moment: float) -> str:
    """RFC 3339, to the second."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return "a time beyond the calendar"
