"""Response heads from origins of every kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.http_fields import CHUNKED, MAX_MEMBERS, MAX_RESPONSE_LINES, NO_BODY, UNTIL_CLOSE, Refusal
from node.engine.builtin.http_response import Response, read_response

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


def test_an_agreed_upgrade_is_told() -> None:
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    assert read(data).head.endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"A: b\rc\r\n\r\n",
        OK + b"A: b\0\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"A: " + b"a" * 65536,
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
