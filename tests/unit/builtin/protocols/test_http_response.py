"""Response heads from origins of every kind."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.protocols.http_fields import (
    CHUNKED,
    MAX_MEMBERS,
    MAX_RESPONSE_LINES,
    NO_BODY,
    UNTIL_CLOSE,
    Refusal,
)
from node.engine.builtin.protocols.http_response import Response, read_response, whole_response, without_chunks

OK = b"HTTP/1.1 200 OK\r\n"


def read(data: bytes, method: bytes = b"GET") -> Response:
    response = read_response(data, 0, method)
    assert isinstance(response, Response)
    return response


@pytest.mark.parametrize(
    ("data", "method", "body", "reusable"),
    [
        (OK + b"Content-Length: 5\r\n\r\n", b"GET", 5, True),
        (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", b"GET", 5, True),
        (OK + b"Content-Length: 5, 5\r\n\r\n", b"GET", 5, True),
        (OK + b"Content-Length: 5\r\nConnection: close\r\n\r\n", b"GET", 5, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"GET", CHUNKED, True),
        (OK + b"Content-Length: 5, 05\r\nContent-Length: 005\r\n\r\n", b"GET", 5, True),
        (OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n", b"GET", 5, False),
        (OK + b"Transfer-Encoding: identity\r\n\r\n", b"GET", UNTIL_CLOSE, False),
        (OK + b"Transfer-Encoding: identity, chunked\r\n\r\n", b"GET", CHUNKED, True),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", CHUNKED, True),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", CHUNKED, False),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", b"GET", CHUNKED, False),
        (OK + b"Transfer-Encoding: gzip, Chunked\r\n\r\n", b"GET", CHUNKED, True),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", b"GET", UNTIL_CLOSE, False),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", CHUNKED, False),
        (OK + b"\r\n", b"GET", UNTIL_CLOSE, False),
        (OK + b"Content-Length: 5\r\n\r\n", b"HEAD", NO_BODY, True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"GET", NO_BODY, True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"GET", NO_BODY, True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", b"GET", 5, False),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"POST", NO_BODY, True),
    ],
)
def test_the_end_of_the_body_follows_from_the_head(data: bytes, method: bytes, body: int, reusable: bool) -> None:
    response = read(data, method)
    assert (response.size, response.body, response.reusable) == (len(data), body, reusable)


def test_a_length_beside_chunks_is_not_told_to_the_client() -> None:
    response = read(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n")
    assert response.head == OK + b"A: b\r\nTransfer-Encoding: chunked\r\n"


def test_the_length_of_what_a_head_request_did_not_get_is_told() -> None:
    assert read(OK + b"Content-Length: 5\r\n\r\n", b"HEAD").head == OK + b"Content-Length: 5\r\n"


def test_hop_by_hop_fields_end_here() -> None:
    data = OK + b"Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: Basic\r\nA: b\r\n\r\n"
    assert read(data).head == OK + b"A: b\r\n"


def test_the_sloppiness_of_old_origins_is_cleaned_up() -> None:
    data = b"HTTP/1.1 200\nServer : old\nX: a\n  folded\nContent-Length:3\n\nabc"
    assert read(data).head == b"HTTP/1.1 200 \r\nServer: old\r\nX: a folded\r\nContent-Length: 3\r\n"
    assert read(data).size == len(data) - 3


@pytest.mark.parametrize(
    ("line", "reason", "reusable"),
    [
        (b"HTTP/1.1 200", b"", True),
        (b"http/1.1 200 OK", b"OK", True),
        (b"HTTP/1.1  200  OK", b"OK", True),
        (b"HTTP/1.1\t200\tOK", b"OK", True),
        (b"HTTP/1.1 200OK", b"OK", True),
        (b"HTTP/1.1 200 O\x01K", b"O\x01K", True),
        (b"HTTP/1.10 200 OK", b"OK", True),
        (b"HTTP/2 200 OK", b"OK", False),
        (b"HTTP/2.0 200 OK", b"OK", False),
        (b"HTTP/0.9 200 OK", b"OK", False),
        (b"HTTP 200 OK", b"OK", False),
        (b"ICY 200 OK", b"OK", False),
        (b"\r\nHTTP/1.1 200 OK", b"OK", True),
        (b"\r\n\n\r\nHTTP/1.1 200 OK", b"OK", True),
    ],
)
def test_odd_status_lines_are_read_and_written_in_one_way(line: bytes, reason: bytes, reusable: bool) -> None:
    data = line + b"\r\nContent-Length: 2\r\n\r\nok"
    response = read(data)
    assert response.head == b"HTTP/1.1 200 %b\r\nContent-Length: 2\r\n" % reason
    assert (response.size, response.body, response.reusable) == (len(data) - 2, 2, reusable)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (b"Set-Cookie: a\x01\x0b\x1f\x7fb", b"Set-Cookie: a\x01\x0b\x1f\x7fb\r\n"),
        (b"X(y)@{z}: 1", b"X(y)@{z}: 1\r\n"),
        (b"X\xe9 :1", b"X\xe9: 1\r\n"),
        (b"junk line", b""),
        (b"HTTP/1.1 200 OK", b""),
        (b"Content Type: text/html", b""),
        (b": no name", b""),
        (b"X\x01: a", b""),
        (b" blanks before", b""),
    ],
)
def test_odd_lines_are_cleaned_up_or_left_out(row: bytes, line: bytes) -> None:
    """squid refuses some, tinyproxy and Privoxy let all of them through, as curl does."""
    assert read(OK + row + b"\r\nA: b\r\n\r\n").head == OK + line + b"A: b\r\n"


def test_a_head_of_bare_lf_ends_at_its_own_blank_line_whatever_its_body_holds() -> None:
    data = b"HTTP/1.1 200 OK\nContent-Length: 9\n\nab\r\n\r\ncde"
    assert whole_response(data[: data.find(b"\r\n\r\n") + 4], b"GET", b"") == read(data)
    assert read(data).size == len(data) - 9


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (OK, b"Via: 1.1 here\r\n"),
        (b"HTTP/1.0 200 OK\r\n", b"Via: 1.0 here\r\n"),
        (OK + b"Via: 1.1 cache\r\nVia: 1.0 x\r\n", b"Via: 1.1 cache, 1.0 x, 1.1 here\r\n"),
    ],
)
def test_this_proxy_is_the_last_in_via(data: bytes, line: bytes) -> None:
    response = read_response(data + b"\r\n", 0, b"GET", b"here")
    assert isinstance(response, Response)
    assert response.head.endswith(line)
    assert response.head.count(b"Via") == 1


@pytest.mark.parametrize(
    ("value", "challenges"),
    [(b"NTLM", True), (b"Basic realm=x, negotiate", True), (b"Basic realm=NTLM", False), (b"Digest x", False)],
)
def test_a_login_for_a_connection_is_announced_as_one_that_works(value: bytes, challenges: bool) -> None:
    response = read(b"HTTP/1.1 401 No\r\nWWW-Authenticate: %b\r\nContent-Length: 0\r\n\r\n" % value)
    assert response.challenges is challenges
    assert (b"\r\nProxy-Support: Session-Based-Authentication\r\n" in response.head) is challenges


def test_an_http_1_0_client_is_not_told_of_chunks() -> None:
    plain = without_chunks(read(OK + b"Transfer-Encoding: chunked\r\n\r\n"))
    assert isinstance(plain, Response)
    assert plain.head == OK
    assert isinstance(without_chunks(read(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n")), Refusal)


def test_a_head_of_100_kib_is_read() -> None:
    lines = b"".join(b"X-%d: %b\r\n" % (number, b"a" * 50) for number in range(1700))
    assert read(OK + lines + b"\r\n").head == OK + lines


def test_an_agreed_upgrade_is_told() -> None:
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    assert read(data).head.endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 a\0b\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"\r\n" * 40 + OK + b"\r\n",
        OK + b"Content-Length 5\r\n\r\n",
        OK + b"Content Length: 5\r\n\r\n",
        OK + b"(Transfer-Encoding): chunked\r\n\r\n",
        OK + b"junk\r\n Content-Length: 5\r\n\r\n",
        OK + b" Content-Length: 5\r\n\r\n",
        OK + b"Content-Length\x01: 5\r\n\r\n",
        OK + b"Content-Length: \x0b5\r\n\r\n",
        OK + b"Content-Length: 5\x00\r\n\r\n",
        OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        OK + b"junk\rline\r\n\r\n",
        OK + b"A: b\r\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"A: b\rc\r\n\r\n",
        OK + b"A: b\0\r\n\r\n",
        OK + b"A: " + b"a" * 307200,
        OK + b"A: b\r\n" * 2049 + b"\r\n",
    ],
)
def test_what_could_be_taken_for_two_responses_is_refused(data: bytes) -> None:
    refusal = read_response(data, 0, b"GET")
    assert isinstance(refusal, Refusal)
    assert refusal.status == 502


def test_a_head_is_found_whatever_pieces_it_comes_in() -> None:
    data = OK + b"Content-Length: 5\r\n\r\n"
    for cut in range(len(data)):
        assert read_response(data[:cut], 0, b"GET") is None
        assert read_response(data, cut, b"GET") == read(data)


@given(st.binary(max_size=300), st.sampled_from([b"GET", b"HEAD"]))
def test_no_bytes_are_an_exception(data: bytes, method: bytes) -> None:
    read_response(data, 0, method)
    read_response(OK + data + b"\r\n\r\n", 0, method)


@given(
    st.lists(st.sampled_from([b"Content-Length: 5", b"Transfer-Encoding: chunked", b"A: b", b" fold", b"B : c", b""]))
)
def test_what_the_client_gets_is_read_the_same_way_again(rows: list[bytes]) -> None:
    response = read_response(OK + b"\r\n".join(rows) + b"\r\n\r\n", 0, b"GET")
    if isinstance(response, Response):
        again = read(response.head + b"\r\n")
        assert b"\0" not in response.head
        assert (again.status, again.body, again.size) == (response.status, response.body, len(response.head) + 2)


@pytest.mark.parametrize(
    "head",
    [
        b"a: b\r\n" * MAX_RESPONSE_LINES,
        b"a: b\n" * MAX_RESPONSE_LINES,
        b"a: b\r\n" + b" folded\r\n" * MAX_RESPONSE_LINES,
        b"Connection: " + b"a," * (MAX_MEMBERS + 1) + b"\r\n",
        b"Content-Length: " + b"1," * (MAX_MEMBERS + 1) + b"1\r\n",
        b"Transfer-Encoding: " + b"gzip," * (MAX_MEMBERS + 1) + b"chunked\r\n",
    ],
)
def test_a_response_of_too_many_lines_or_members_is_refused(head: bytes) -> None:
    refused = read_response(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", 0, b"GET")
    assert isinstance(refused, Refusal)
    assert refused.status == 502


PARTS = st.sampled_from(
    [b"\r\n", b"\n", b"\r\n\r\n", b"\n\n", OK, b"ICY 200 OK", b"Content-Length: 5", b"x: y", b" z", b"\r", b"\0", b"ab"]
)


@given(st.lists(PARTS, max_size=9), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_in_any_pieces_are_read_as_at_once(parts: list[bytes], cuts: list[int]) -> None:
    """The first read of a response takes another way than later ones."""
    data = OK + b"".join(parts)
    whole = read_response(data, 0, b"GET")
    seen, pieces = 0, [min(cut, len(data)) for cut in [*sorted(cuts), len(data)]]
    early = None
    while pieces and early is None:
        early = read_response(data[: pieces[0]], seen, b"GET")
        seen = pieces.pop(0)
    assert early == whole
    end = data.find(b"\r\n\r\n") + 4
    if end >= 4 and whole is not None:
        assert whole_response(data[:end], b"GET", b"") in (None, whole)


@given(st.text("\r\n:a", max_size=10))
def test_a_head_ends_with_its_first_empty_line_whichever_line_ends_are_used(text: str) -> None:
    data = b"HTTP/1.1 200 OK\r\na: b" + text.encode() + b"\r\n\r\n"
    end = re.compile(rb"\r?\n\r?\n").search(data)
    response = read_response(data, 0, b"GET")
    assert end is not None
    assert response is not None
    assert isinstance(response, Refusal) or response.size == end.end()
