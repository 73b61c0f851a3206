"""How much traffic a proxy has used ever, in this UTC day and in this UTC month."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAY_S = 86_400.0


def day_start(now: float) -> float:
    """Seconds since 1970."""
    return now - now % _DAY_S


def month_start(now: float) -> float:
    return datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def next_start(period: str, now: float) -> float | None:
    """When the period after this one begins; None for `total`, which has no other."""
    if period == "day":
        return day_start(now) + _DAY_S
    if period == "month":
        return month_start((datetime.fromtimestamp(month_start(now), UTC) + timedelta(days=32)).timestamp())
    return None


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """Bytes, both directions together. Day and month are kept whatever the limit says, so that it may change.

    `day` and `month` are the starts of the periods that `in_day` and `in_month` belong to.
    """

    total: int = 0
    day: float = 0.0
    in_day: int = 0
    month: float = 0.0
    in_month: int = 0

    def plus(self, count: int, now: float) -> "QuotaUsage":
        """With so much more, used just now."""
        day, in_day = _turned(self.day, self.in_day, day_start(now), now)
        month, in_month = _turned(self.month, self.in_month, month_start(now), now)
        return QuotaUsage(self.total + count, day, in_day + count, month, in_month + count)

    def within(self, period: str, now: float) -> int:
        """Bytes of the period that is running at this time."""
        if period == "day":
            return _turned(self.day, self.in_day, day_start(now), now)[1]
        if period == "month":
            return _turned(self.month, self.in_month, month_start(now), now)[1]
        return self.total


def _turned(start: float, count: int, begins: float, now: float) -> tuple[float, int]:
    """The period and its count at this time: nothing in a period that has just begun.

    A clock that is set back by up to a day stays in the period that had begun, so that nobody is given an allowance
    twice by a clock that wavers at midnight. Farther back it was wrong before: a new period begins.
    """
    if start == begins or 0 < start - now <= _DAY_S:
        return start, count
    return begins, 0
