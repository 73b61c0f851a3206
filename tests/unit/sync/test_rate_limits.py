"""How much a node may send."""

from hypothesis import given
from hypothesis import strategies as st

from master.sync.rate_limits import BURST, PATIENCE, PER_S, TokenBucket, after_message


def after(messages: int, every_s: float) -> TokenBucket:
    """What a fresh sender has left after so many messages at this pace."""
    left = None
    for number in range(messages):
        left = after_message(left, number * every_s, 1)
    assert left is not None
    return left


def test_a_burst_of_two_hundred_is_allowed_and_the_next_one_is_not():
    assert after(BURST, 0).left == 0
    assert after(BURST + 1, 0).left < 0


def test_twenty_a_second_are_allowed_for_ever():
    assert after(10_000, 1 / PER_S).left >= 0


def test_a_hundred_past_that_reach_the_end_of_patience():
    assert after(BURST + PATIENCE - 1, 0).left > -PATIENCE
    assert after(BURST + PATIENCE, 0).left <= -PATIENCE


def test_a_heavy_body_costs_more():
    assert after_message(None, 0, 17).left == BURST - 17


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 20)), max_size=200))
def test_nobody_ever_has_more_than_a_burst_or_owes_much_more_than_patience(steps: list[tuple[float, int]]):
    left, now = None, 0.0
    for pause, cost in steps:
        now += pause
        left = after_message(left, now, cost)
        assert -PATIENCE - cost <= left.left <= BURST - cost
