"""Where a message body ends, in whatever pieces it comes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.protocols.http_body import MAX_CHUNKS, MessageBody, body_of
from node.engine.builtin.protocols.http_fields import CHUNKED, NO_BODY, UNTIL_CLOSE

CHUNKS = b'5\r\nhello\r\nA;name="value"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n'


def feed(body: MessageBody, *pieces: bytes) -> int:
    """Bytes that belong to the body."""
    total = 0
    for piece in pieces:
        at = 0
        while at < len(piece) and not body.done and not body.broken:
            at = body.feed(piece, at, len(piece))
        total += at
    return total


def broken(data: bytes, *, lenient: bool = False) -> bool:
    body = body_of(CHUNKED, lenient=lenient)
    feed(body, data)
    return body.broken


def test_a_length_is_counted_down() -> None:
    body = body_of(5)
    assert (feed(body, b"he", b"llo", b"next"), body.done) == (5, True)


def test_no_body_is_done_before_it_began() -> None:
    assert body_of(0).done
    assert body_of(NO_BODY).done


def test_a_body_until_the_close_takes_everything() -> None:
    body = body_of(UNTIL_CLOSE)
    assert (feed(body, b"abc", b"def"), body.done) == (6, False)


def test_chunks_end_behind_their_trailers() -> None:
    body = body_of(CHUNKED)
    assert (feed(body, CHUNKS + b"GET next"), body.done, body.broken) == (len(CHUNKS), True, False)


def test_chunks_may_be_cut_anywhere() -> None:
    for cut in range(len(CHUNKS)):
        body = body_of(CHUNKED)
        assert (feed(body, CHUNKS[:cut], CHUNKS[cut:] + b"next"), body.done) == (len(CHUNKS), True)


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello",
        b"5 \r\nhello",
        b" 5\r\nhello",
        b"+5\r\nhello",
        b"0x5\r\nhello",
        b"\r\n",
        b"g\r\n",
        b"5;a\rb\r\nhello",
        b"5;a\0\r\nhello",
        b"1" * 16 + b"\r\n",
        b"0" * 30 + b"1" * 16 + b"\r\n",
        b"0" * 5000 + b"\r\n",
        b";a=b\r\n",
        b"5\r\nhello!!",
        b"5\r\nhelloX\n",
        b"5\r\nhello\n",
        b"0\r\nContent-Length: 5\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n",
        b"0\r\nProxy-Authorization: Basic YTpi\r\n",
        b"0\r\nHost: x\r\n",
        b"0\r\nno colon\r\n",
        b"0\r\n folded\r\n",
        b"0\r\n\n",
        b"5;" + b"a" * 5000,
        b"0\r\n" + b"A: b\r\n" * 4000,
    ],
)
def test_chunks_that_could_be_read_in_two_ways_are_broken(data: bytes) -> None:
    assert broken(data + b"\r\n")


@pytest.mark.parametrize("data", [b"1\r\nxy", b"1\r\nx\r\r", b"1\r\nx\n"])
def test_a_chunk_that_goes_on_past_its_size_is_broken_before_its_line_ends(data: bytes) -> None:
    """Or the bytes behind it would be sent on."""
    assert broken(data)
    assert not broken(data[:-1])


def test_an_origin_may_pad_its_chunk_sizes() -> None:
    assert not broken(b"5  \r\nhello\r\n0\r\n\r\n", lenient=True)


def passed_on(data: bytes, cuts: list[int], *, lenient: bool = False, bare: bool = False) -> bytes:
    body, out = body_of(CHUNKED, lenient=lenient, bare=bare), b""
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(edges):
        if not body.done:
            stop = body.feed(data, start, end)
            assert not body.broken
            out += data[start:stop] if body.out is None else body.out
    assert body.done
    return out


CUTS = st.lists(st.integers(0, 120), max_size=12)


@given(CUTS)
def test_chunk_lines_go_on_in_one_spelling_whatever_they_came_in(cuts: list[int]) -> None:
    """So that no reader behind the proxy, which may look at the first 16 digits only, sees another size."""
    odd = b"00000000000000000005;a=b\r\nhello\r\n0A;x\r\n0123456789\r\n000\r\nX-Sum: 1\r\n\r\nGET next"
    assert passed_on(odd, cuts) == b"5\r\nhello\r\na\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"


@given(CUTS)
def test_the_bare_content_of_chunks_goes_to_those_who_cannot_read_them(cuts: list[int]) -> None:
    assert passed_on(CHUNKS, cuts, bare=True) == b"hello0123456789"


@given(CUTS)
def test_trailers_of_origins_that_may_not_go_on_are_left_out(cuts: list[int]) -> None:
    data = b"1\r\nx\r\n0\r\nContent-Length: 5\r\njunk\r\nX: y\r\n\r\n"
    assert passed_on(data, cuts, lenient=True) == b"1\r\nx\r\n0\r\nX: y\r\n\r\n"


@pytest.mark.parametrize("data", [b"0\r\nX: \0\r\n\r\n", b"0\r\nX: a\rb\r\n\r\n", b"0\r\nX: a\n\r\n"])
def test_a_trailer_with_a_stray_line_end_breaks_any_body(data: bytes) -> None:
    assert broken(data)
    assert broken(data, lenient=True)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.lists(st.integers(1, 20), min_size=1), st.binary())
def test_any_chunks_in_any_pieces_end_at_their_end(chunks: list[bytes], cuts: list[int], rest: bytes) -> None:
    whole = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    data, pieces = whole + rest, []
    for number in range(len(data)):
        pieces.append(data[: cuts[number % len(cuts)]])
        data = data[cuts[number % len(cuts)] :]
    body = body_of(CHUNKED)
    assert (feed(body, *pieces), body.done, body.broken) == (len(whole), True, False)


@given(st.lists(st.binary(max_size=30)))
def test_no_bytes_are_an_exception_or_taken_twice(pieces: list[bytes]) -> None:
    body = body_of(CHUNKED)
    assert feed(body, *pieces) <= sum(map(len, pieces))


def test_one_feed_follows_a_bounded_number_of_chunks() -> None:
    body, data = body_of(CHUNKED), b"1;x\r\nX\r\n" * 10 * MAX_CHUNKS
    used = body.feed(data, 0, len(data))
    assert used <= MAX_CHUNKS * 8
    assert (body.done, body.broken) == (False, False)


def test_one_feed_follows_a_bounded_number_of_trailers() -> None:
    body, data = body_of(CHUNKED), b"0\r\n" + b"A: b\r\n" * 2000
    assert body.feed(data, 0, len(data)) <= 3 * MAX_CHUNKS * 6


def test_a_run_of_tiny_chunks_is_followed_as_a_whole() -> None:
    body, data = body_of(CHUNKED), b"1\r\nX\r\nf\r\n0123456789abcde\r\nB\r\n\r\n\r\n\r\n\r\n\0\0\0\r\n" * 1000
    assert body.feed(data, 0, len(data)) == len(data)
    assert (body.done, body.broken) == (False, False)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=30), st.integers(1, 40))
def test_chunks_of_any_size_end_where_they_end_however_they_are_cut(chunks: list[bytes], cut: int) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = body_of(CHUNKED)
    assert feed(body, *(data[at : at + cut] for at in range(0, len(data), cut)), b"GET") == len(data)
    assert body.done


@pytest.mark.parametrize("data", [b"1\r\nXX\n", b"2\r\nX\r\n1\r\n", b"1\r\nX\r\n\r\n", b"1\nX\r\n", b"1\r\nX\n\n"])
def test_tiny_chunks_are_as_strict_as_others(data: bytes) -> None:
    assert broken(b"1\r\nX\r\n" * 3 + data)
