"""Traffic of a proxy in total, in the current UTC day and in the current UTC month."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAY_S = 86_400.0


def day_start(now: float) -> float:
    """The start of the UTC day, in seconds since 1970."""
    return now - now % _DAY_S


def month_start(now: float) -> float:
    return datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def next_start(period: str, now: float) -> float | None:
    """The start of the next period; None for `total`, which has no next one."""
    if period == "day":
        return day_start(now) + _DAY_S
    if period == "month":
        return month_start((datetime.fromtimestamp(month_start(now), UTC) + timedelta(days=32)).timestamp())
    return None


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """Bytes used, both directions together. Day and month are counted whatever the limit is, so that the limit may
    change.

    `day` and `month` are the starts of the periods that `in_day` and `in_month` belong to.
    """

    total: int = 0
    day: float = 0.0
    in_day: int = 0
    month: float = 0.0
    in_month: int = 0

    def plus(self, count: int, now: float) -> "QuotaUsage":
        """Add bytes used at `now`."""
        day, in_day = _current(self.day, self.in_day, day_start(now), now)
        month, in_month = _current(self.month, self.in_month, month_start(now), now)
        return QuotaUsage(self.total + count, day, in_day + count, month, in_month + count)

    def within(self, period: str, now: float) -> int:
        """Bytes used in the period that `now` falls into."""
        if period == "day":
            return _current(self.day, self.in_day, day_start(now), now)[1]
        if period == "month":
            return _current(self.month, self.in_month, month_start(now), now)[1]
        return self.total


def _current(start: float, count: int, begins: float, now: float) -> tuple[float, int]:
    """The period at `now` and its count: zero if the period has just begun.

    A clock that is set back by up to a day stays in the period that had begun, so that a clock that wavers at midnight
    does not grant an allowance twice. If it is set back farther, it was wrong before: a new period begins.
    """
    if start == begins or 0 < start - now <= _DAY_S:
        return start, count
    return begins, 0
