"""A waiting node and strangers who say anything at all to it."""

import asyncio
import base64
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from master.domain.nodes.enrolment.service import Enrolment
from node.enrolment.application import BODY_LIMIT
from shared.enrolment.bodies import REFUSED
from shared.enrolment.challenge import new_challenge, read_challenge
from shared.enrolment.handshake import MasterHandshake
from shared.enrolment.keys import hello_mac
from tests.master.waiting_node import WaitingNode, said
from tests.services.ports import HOST

ROUTES = (b"/enrol/hello", b"/enrol/config")
UNSPOKEN = b"Invalid HTTP request received."
"""What uvicorn says to what is not HTTP."""
CHUNKED_UNSPOKEN = b"%x\r\n%b\r\n0\r\n\r\n" % (len(UNSPOKEN), UNSPOKEN)
"""The same after a head that could be read."""
HOSTILE = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def request(body: bytes, *, path: bytes = ROUTES[0], method: bytes = b"POST", fields: bytes = b"") -> bytes:
    told = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) + fields
    return b"%b %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%b\r\n%b" % (method, path, told, body)


def assert_refused(answer: bytes) -> None:
    """In words that do not depend on what was said; nothing at all for what never became a request."""
    if answer:
        status = re.match(rb"HTTP/1\.1 (4[0-9]{2}) ", answer)
        body = answer.partition(b"\r\n\r\n")[2]
        assert status is not None, answer
        assert body in (REFUSED, UNSPOKEN, CHUNKED_UNSPOKEN, b""), answer


def hello(challenge: str, **changes: Any) -> bytes:
    return json.dumps(MasterHandshake(challenge).hello.model_dump() | changes).encode()


SIZES = st.integers(0, 80).map(bytes)
TEXTS = st.one_of(
    st.text(max_size=70),
    st.binary(max_size=80).map(lambda data: base64.b64encode(data).decode()),
    st.binary(max_size=40).map(lambda data: base64.urlsafe_b64encode(data).decode()),
    SIZES.map(lambda data: base64.b64encode(data).decode().rstrip("=")),
    st.binary(max_size=40).map(bytes.hex),
    st.sampled_from(["\ud800", "a\ud800", "\0", "=", "====", "A" * 65, "A" * 70_000]),
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
HELLOS = st.fixed_dictionaries(
    {"e_m": TEXTS | ANYTHING, "n_m": TEXTS, "mac": TEXTS}, optional={"v": st.integers() | ANYTHING, "x": ANYTHING}
)
BOXES = st.fixed_dictionaries({"box": TEXTS | ANYTHING}, optional={"x": ANYTHING})
ODD_BODIES = [
    b"",
    b"{",
    b"null",
    b"[" * BODY_LIMIT,
    b'{"e_m":' * 9_000,
    b"9" * 60_000,
    b"1e400",
    b"NaN",
    b'"\\ud800"',
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"e_m":"","e_m":"","n_m":"","mac":""}',
    b'{"e_m":"\\u0000","n_m":"\\ud800","mac":"\\udc00"}',
    b"x" * (BODY_LIMIT + 1),
]


@pytest.mark.parametrize("body", ODD_BODIES, ids=range(len(ODD_BODIES)))
@pytest.mark.parametrize("path", ROUTES)
async def test_no_odd_body_fails_a_waiting_node(node: WaitingNode, path: bytes, body: bytes) -> None:
    assert_refused(await said(node.port, request(body, path=path)))


@HOSTILE
@given(data=st.binary(max_size=400))
async def test_no_bytes_at_all_fail_a_waiting_node(node: WaitingNode, data: bytes) -> None:
    assert_refused(await said(node.port, data, end=True))
    assert_refused(await said(node.port, request(data)))


@HOSTILE
@given(body=ANYTHING | HELLOS)
async def test_no_json_in_place_of_a_hello_fails_a_waiting_node(node: WaitingNode, body: Any) -> None:
    assert_refused(await said(node.port, request(json.dumps(body).encode())))


@HOSTILE
@given(body=ANYTHING | BOXES)
async def test_no_json_in_place_of_a_configuration_fails_a_waiting_node(node: WaitingNode, body: Any) -> None:
    begun = await said(node.port, request(hello(node.challenge)))
    assert begun.startswith(b"HTTP/1.1 200")
    assert_refused(await said(node.port, request(json.dumps(body).encode(), path=ROUTES[1])))
    assert node.accepted == []


@HOSTILE
@given(
    e_m=st.text(max_size=64) | SIZES.map(lambda data: base64.b64encode(data[:48]).decode()), n_m=st.text(max_size=64)
)
async def test_who_knows_the_challenge_and_sends_no_key_is_refused(node: WaitingNode, e_m: str, n_m: str) -> None:
    mac = hello_mac(read_challenge(node.challenge).encode(), e_m, n_m)
    assert_refused(await said(node.port, request(json.dumps({"e_m": e_m, "n_m": n_m, "mac": mac}).encode())))


FIELDS = [
    b"Content-Encoding: gzip\r\n",
    b"Content-Type: multipart/form-data; boundary=\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Cookie: \xff\r\n",
    b"X: " + b"y" * 70_000 + b"\r\n",
    b"X: y\r\n" * 5_000,
    b"no colon\r\n",
]


@pytest.mark.parametrize("fields", FIELDS, ids=range(len(FIELDS)))
async def test_no_odd_header_fails_a_waiting_node(node: WaitingNode, fields: bytes) -> None:
    wrong = request(hello(new_challenge()), fields=fields)
    assert_refused(
        re.sub(rb"^HTTP/1.1 100 Continue\r\n\r\n", b"", await said(node.port, wrong, end=b"chunked" in fields))
    )


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"TRACE", b"CONNECT", b"post", b"\0"])
@pytest.mark.parametrize("path", [*ROUTES, b"/", b"/enrol/hello/", b"//enrol/hello", b"/%00", b"/%ff", b"*"])
async def test_no_other_method_or_path_is_served(node: WaitingNode, method: bytes, path: bytes) -> None:
    assert_refused(await said(node.port, request(hello(node.challenge), method=method, path=path)))
    assert node.accepted == []


async def test_a_hello_may_come_in_two_pieces_cut_anywhere(node: WaitingNode) -> None:
    right = request(hello(node.challenge))
    for cut in range(1, len(right), 7):
        assert (await said(node.port, right[:cut], right[cut:])).startswith(b"HTTP/1.1 200")


async def test_a_huge_body_is_refused_before_it_has_come(node: WaitingNode) -> None:
    head = b"POST /enrol/hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\n"
    for told in (b"Content-Length: 100000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        assert_refused(await said(node.port, head + told, *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 100))


HEAD = b"POST /enrol/hello HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_hello_may_come_in_chunks(node: WaitingNode, size: int) -> None:
    head = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await said(node.port, head, chunked(hello(node.challenge), size))).startswith(b"HTTP/1.1 200")


async def test_chunks_that_are_too_many_or_malformed_are_refused(node: WaitingNode) -> None:
    head = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body in (
        chunked(b" " * (BODY_LIMIT + 1), 4096),
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}x",
    ):
        answer = await said(node.port, head, body)
        assert_refused(answer)
        assert answer


async def test_a_content_length_that_lies_gets_nothing_more(node: WaitingNode) -> None:
    right = hello(node.challenge)
    short, long = (HEAD + b"Content-Length: %d\r\n\r\n" % (len(right) + more) + right for more in (-1, 1))
    answers = (await said(node.port, short, end=True)).split(b"HTTP/1.1 ")
    assert [answer[:3] for answer in answers] == [b"", b"400"]
    assert await said(node.port, long, end=True) == b""
    assert_refused(await said(node.port, HEAD + b"Content-Length: -1\r\n\r\n" + right))
    assert_refused(await said(node.port, HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + right))


TYPES = [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/msgpack", b"\xff"]


@pytest.mark.parametrize("media_type", TYPES)
async def test_a_content_type_changes_nothing(node: WaitingNode, media_type: bytes) -> None:
    right = request(hello(node.challenge)).replace(b"application/json", media_type)
    assert (await said(node.port, right)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT"])
async def test_only_post_is_allowed_on_the_routes_and_no_answer_to_head_has_a_body(
    node: WaitingNode, method: bytes
) -> None:
    for path, status in ((ROUTES[0], b"405"), (ROUTES[1], b"405"), (b"/", b"404"), (ROUTES[0] + b"/", b"404")):
        head, _, body = (await said(node.port, request(b"", method=method, path=path))).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert body == (b"" if method == b"HEAD" else REFUSED)


async def test_requests_that_come_one_behind_the_other_are_answered_in_their_order(node: WaitingNode) -> None:
    right, wrong = (request(hello(each)) for each in (node.challenge, new_challenge()))
    kept = [each.replace(b"Connection: close\r\n", b"") for each in (right, wrong, right)]
    answers = (await said(node.port, b"".join(kept) + request(b"", path=b"/"))).split(b"HTTP/1.1 ")
    assert [answer[:3] for answer in answers] == [b"", b"200", b"403", b"200", b"404"]


async def test_after_a_thousand_wrong_proofs_and_beside_those_who_drip_the_right_one_enrols(
    enrolment: Enrolment, node: WaitingNode
) -> None:
    wrong = request(hello(new_challenge())).replace(b"Connection: close\r\n", b"")
    dripped = request(hello(new_challenge()))
    over = asyncio.Event()
    async with asyncio.TaskGroup() as drips:
        for at in range(40):
            drips.create_task(dripping(node.port, dripped[: at * 10], over))
        async with asyncio.TaskGroup() as strangers:
            for _ in range(10):
                strangers.create_task(refused_again_and_again(node.port, wrong, 100))
        async with asyncio.timeout(20):
            assert (await enrolment.enrol(HOST, node.port, node.challenge, None, None, {}))[1]
        over.set()
    assert len(node.accepted) == 1


async def refused_again_and_again(port: int, wrong: bytes, times: int) -> None:
    """On one connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    for _ in range(times):
        writer.write(wrong)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 403", b"HTTP/1.1 429")), head
        assert await reader.readexactly(len(REFUSED)) == REFUSED
    writer.transport.abort()


async def dripping(port: int, data: bytes, over: asyncio.Event) -> None:
    """Something that never becomes whole."""
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(data)
    await over.wait()
    writer.transport.abort()
