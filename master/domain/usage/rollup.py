"""Decide which part of a sum is read from rows of days, and which from rows of hours. Pure."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

DayRange = tuple[datetime, datetime]
"""From the first day to the end of the last one, which is the end of the rolled up hours if that day is not over."""


def whole_days(since: datetime | None, until: datetime | None, rolled_until: datetime) -> DayRange:
    """Return the days that lie between `since` and `until` as far as they are rolled up; (EPOCH, EPOCH) for none.

    The hours before `rolled_until` are part of their day.
    """
    first = EPOCH if since is None else day_at_or_after(since)
    end = rolled_until if until is None or until >= rolled_until else day_of(until)
    return (first, end) if first < end else (EPOCH, EPOCH)


def day_of(moment: datetime) -> datetime:
    """Return the midnight (UTC) at which the day of this moment began."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def day_at_or_after(moment: datetime) -> datetime:
    """Return this moment if it is midnight (UTC), else the next midnight."""
    began = day_of(moment)
    return began if began == moment else began + DAY
