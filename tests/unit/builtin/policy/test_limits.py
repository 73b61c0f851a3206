"""What the limits of a proxy of the built-in engine say, and the arithmetic behind them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.policy.limits import next_change, quota_left, slot_refusal, suspension
from node.engine.builtin.policy.quota_periods import QuotaUsage, next_start
from node.engine.builtin.policy.records import LimitsRecord
from node.engine.builtin.policy.token_bucket import LEAST, TokenBucket, shares

DAY = 86_400.0
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)).map(lambda when: when.replace(tzinfo=UTC))
PERIODS = st.sampled_from(["total", "day", "month"])
COUNTS = st.integers(0, 2**50)


def period_of(period: str, when: datetime) -> object:
    """What two moments of one period have in common, by the calendar."""
    return {"total": None, "day": when.date(), "month": (when.year, when.month)}[period]


@given(st.lists(st.tuples(MOMENTS, COUNTS), min_size=1), PERIODS)
def test_spent_traffic_is_what_moved_in_the_period(moves: list[tuple[datetime, int]], period: str) -> None:
    spent = QuotaUsage()
    moves.sort(key=lambda move: move[0])
    for when, count in moves:
        spent = spent.plus(count, when.timestamp())
    last = moves[-1][0]
    expected = sum(count for when, count in moves if period_of(period, when) == period_of(period, last))
    assert spent.within(period, last.timestamp()) == expected


@given(MOMENTS, st.sampled_from(["day", "month"]))
def test_a_new_period_begins_with_nothing_and_not_a_moment_before(when: datetime, period: str) -> None:
    spent = QuotaUsage().plus(7, when.timestamp())
    start = next_start(period, when.timestamp())
    assert start is not None
    begins = datetime.fromtimestamp(start, UTC)
    assert period_of(period, begins) != period_of(period, when)
    assert period_of(period, begins - timedelta(seconds=1)) == period_of(period, when)
    assert spent.within(period, start) == 0
    assert spent.within(period, start - 1) == 7


def test_a_clock_that_wavers_at_midnight_gives_no_second_allowance() -> None:
    midnight = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    spent = QuotaUsage().plus(5, midnight - 1).plus(3, midnight + 1)
    for period in ("day", "month"):
        assert spent.within(period, midnight - 1) == 3
        assert spent.plus(1, midnight - 1).within(period, midnight + 2) == 4


def test_a_clock_that_was_a_year_ahead_does_not_hold_a_proxy_for_a_year() -> None:
    spent = QuotaUsage().plus(5, datetime(2027, 11, 22, tzinfo=UTC).timestamp())
    assert spent.within("day", datetime(2026, 11, 22, tzinfo=UTC).timestamp()) == 0
    assert spent.within("month", datetime(2026, 11, 22, tzinfo=UTC).timestamp()) == 0
    assert spent.total == 5


@given(COUNTS, st.integers(1, 2**50), PERIODS, MOMENTS)
def test_a_proxy_is_held_exactly_when_nothing_is_left(used: int, most: int, period: str, when: datetime) -> None:
    now = when.timestamp()
    limits, spent = LimitsRecord(traffic_bytes=most, traffic_period=period), QuotaUsage().plus(used, now)
    assert quota_left(limits, spent, now) == max(0, most - used)
    hold = suspension(limits, spent, now)
    assert (hold is not None) == (used >= most)
    assert hold is None or (hold.word, hold.status) == ("quota", 429)


def test_a_proxy_expires_at_its_moment_and_a_clock_set_back_lets_it_serve_again() -> None:
    limits = LimitsRecord(expires_at=1767225600.0)
    assert suspension(limits, QuotaUsage(), 1767225599.9) is None
    assert next_change(limits, 1767225599.9) == 1767225600.0
    hold = suspension(limits, QuotaUsage(), 1767225600.0)
    assert hold is not None
    assert (hold.word, hold.reason) == ("expired", "this proxy expired at 2026-01-01T00:00:00Z")


def test_the_reason_says_when_it_serves_again() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
    hold = suspension(LimitsRecord(traffic_bytes=10, traffic_period="month"), QuotaUsage().plus(10, now), now)
    assert hold is not None
    assert hold.reason.endswith("10 bytes a month; it serves again at 2026-12-01T00:00:00Z")


def test_connections_are_refused_from_the_limit_on() -> None:
    assert slot_refusal(LimitsRecord(), 10**6) is None
    assert slot_refusal(LimitsRecord(connections=2), 1) is None
    assert slot_refusal(LimitsRecord(connections=2), 2) is not None


@given(
    st.floats(1000, 10**10),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=50),
)
def test_no_more_moves_than_the_rate_allows_and_what_was_saved_up(
    rate: float, steps: list[tuple[float, float]]
) -> None:
    bucket, now, moved = TokenBucket(rate, 0.0), 0.0, 0
    for pause, greed in steps:
        now += pause
        bucket.fill(now)
        count = int(max(0.0, bucket.level) * greed)
        bucket.spend(count)
        moved += count
        assert moved <= bucket.depth + rate * now + 1
        assert bucket.level <= bucket.depth


@given(st.floats(1000, 10**10), st.integers(0, 10**9))
def test_after_the_wait_there_is_something_worth_giving(rate: float, debt: int) -> None:
    bucket = TokenBucket(rate, 0.0)
    bucket.spend(debt)
    bucket.fill(bucket.wait() + 1e-6)
    assert bucket.level >= LEAST - 0.01 * rate
    assert bucket.wait() < 1e-3


@given(st.floats(-1e9, 1e9), st.integers(0, 10_000))
def test_shares_are_equal_worth_it_and_together_no_more_than_there_is(level: float, waiting: int) -> None:
    served, share = shares(level, waiting)
    assert served <= waiting
    assert served * share <= max(0.0, level)
    assert share >= LEAST or not served
    assert served == waiting or (served + 1) * LEAST > level


@pytest.mark.parametrize("rate", [125_000.0, 1_000_000.0])
def test_another_rate_does_not_give_what_was_not_saved_up(rate: float) -> None:
    bucket = TokenBucket(rate, 0.0)
    bucket.spend(int(bucket.level))
    bucket.retune(rate * 10, 0.0)
    assert bucket.level == pytest.approx(0.0, abs=1)
    bucket.fill(1.0)
    bucket.retune(rate / 10, 1.0)
    assert bucket.level == bucket.depth
