"""Which streams are so fast that the kernel gathers what comes of them."""

from node.engine.builtin.policy.bulk_detection import BULK_BATCH, BULK_WAIT_S, BulkDetector


def brisk(flow: BulkDetector, count: int, each_s: float, *, seconds: float) -> bool:
    """Whether it is found to be at the end of that time."""
    now, found = 0.0, False
    while now < seconds:
        now += each_s
        found = flow.is_fast(count, now) or found
    return found


def test_a_stream_is_gathered_once_it_was_fast_for_long_enough() -> None:
    assert not brisk(BulkDetector(0.0), BULK_BATCH, BULK_WAIT_S / 10, seconds=0.04)
    assert brisk(BulkDetector(0.0), BULK_BATCH, BULK_WAIT_S / 10, seconds=0.06)


def test_a_stream_in_small_pieces_is_gathered_too() -> None:
    assert brisk(BulkDetector(0.0), BULK_BATCH // 16, BULK_WAIT_S / 32, seconds=0.1)


def test_a_stream_that_would_be_waited_for_too_long_is_not_gathered() -> None:
    assert not brisk(BulkDetector(0.0), BULK_BATCH, BULK_WAIT_S * 1.1, seconds=10)


def test_a_stream_of_which_less_comes_than_was_waited_for_is_gathered_no_more() -> None:
    flow = BulkDetector(0.0)
    flow.is_batching = True
    assert flow.is_fast(BULK_BATCH, 1.0)
    assert not flow.is_fast(BULK_BATCH - 1, 1.1)
    flow.begin(1.1)
    assert not flow.is_fast(BULK_BATCH, 1.2)
