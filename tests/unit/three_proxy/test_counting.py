"""3proxy's log lines as sums."""

from hypothesis import given
from hypothesis import strategies as st

from node.engine.three_proxy.counting import Counts, add_block

LOG = (
    b"[line 3] Warning: current open file ulimits are too low\n"
    b"=00000 0 0 Accepting\n"
    b"=00006 0 0 CONNECT\n"
    b"=00004 0 0 GET\n"
    b"=00003 0 0 CONNECT\n"
    b"=00001 0 0 CONNECT\n"
    b"=00010 0 0 CONNECT\n"
    b"=00000 262150 12 \n"
    b"=00000 300 4 CONNECT\n"
    b"=00012 0 0 GET\n"
    b"=00000 0 0 Warning:\n"
    b"=00000 0 0 accept():\n"
)


def test_lines_are_summed_up_by_what_they_tell() -> None:
    assert add_block(Counts(), LOG) == Counts(
        offset=len(LOG),
        sent_bytes=262450,
        received_bytes=16,
        connections=2,
        refused={"login": 2, "source": 1, "destination": 1, "limit": 1},
    )


@given(st.lists(st.integers(0, len(LOG)), max_size=8))
def test_a_log_read_in_any_pieces_comes_to_the_same(cuts: list[int]) -> None:
    counts = Counts()
    for end in [*sorted(cuts), len(LOG)]:
        counts = add_block(counts, LOG[counts.offset : end])
    assert counts == add_block(Counts(), LOG)


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_line_cut_short_by_a_full_file_adds_nothing_that_was_not_moved(first: int, second: int) -> None:
    line = b"=00000 123 45 CONNECT\n"
    counts = add_block(Counts(), line[:first] + line[:second] + line)
    assert (counts.sent_bytes, counts.received_bytes, counts.connections) in {(0, 0, 0), (123, 45, 0), (123, 45, 1)}


@given(st.binary())
def test_any_bytes_are_read_without_an_error(block: bytes) -> None:
    assert add_block(Counts(), block).offset <= len(block)
