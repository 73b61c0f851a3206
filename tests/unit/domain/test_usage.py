"""Sums of usage: which part is read by day, and where pages go on."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.usage.rollup import DAY, EPOCH, day_of, whole_days
from master.domain.usage.schemas import FIRST, SumKeys, read_groups, read_sum_cursor, sum_cursor
from shared.proxies import MAX_BIGINT

START = EPOCH + 20_000 * DAY
HOURS = [START + timedelta(hours=hour) for hour in range(100)]
moments = st.none() | st.integers(-30 * 60, 130 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
ids = st.integers(0, MAX_BIGINT)


@given(moments, moments, st.sampled_from([EPOCH, *HOURS, HOURS[-1] + timedelta(hours=1)]))
def test_days_and_the_hours_around_them_cover_each_hour_of_the_range_once(
    since: datetime | None, until: datetime | None, rolled_until: datetime
):
    days_from, days_until = whole_days(since, until, rolled_until)
    in_range = {hour for hour in HOURS if (since is None or hour >= since) and (until is None or hour < until)}
    of_days = [hour for hour in HOURS if hour < rolled_until and days_from <= day_of(hour) < days_until]
    of_hours = [hour for hour in HOURS if hour in in_range and (hour < days_from or hour >= days_until)]
    assert sorted(of_days + of_hours) == sorted(in_range)


@given(st.builds(SumKeys, ids, ids, ids, ids, ids, st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_a_cursor_is_read_as_it_was_written(keys: SumKeys):
    assert read_sum_cursor(sum_cursor(keys)) == keys


@pytest.mark.parametrize("text", ["", "x", sum_cursor(FIRST), "bnVsbA", "W10", "WzAsMCwwLDAsMCwwXQ", "\N{SNOWMAN}"])
def test_what_is_no_cursor_is_refused(text: str):
    with pytest.raises(ValueError, match="no cursor of this list"):
        read_sum_cursor(text)


@pytest.mark.parametrize("text", ["planet", "hour,day", "label", "label:", "label:a,label:b"])
def test_groups_that_make_no_sum_are_refused(text: str):
    with pytest.raises(ValueError, match="by "):
        read_groups(text)
