"""POST /nodes and a stranger in the place of the waiting node, who answers anything at all."""

import asyncio
import base64
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from master.db.database import Database
from master.db.notifications import Notifications
from master.domain.events.stream import EventStream
from master.domain.nodes.enrolment.client import CONNECT_TIMEOUT_S
from master.domain.nodes.enrolment.service import Enrolment
from master.domain.webhooks.delivery import DeliveryRunner
from shared.enrolment.bodies import Hello
from shared.enrolment.challenge import new_challenge
from shared.enrolment.handshake import NodeHandshake
from shared.enrolment.keys import NODE_NONCE, seal
from tests.fuzz.hostile_bytes import Malice
from tests.integration.conftest import Syncer
from tests.master.dependencies import api_parts
from tests.master.shared_app import app_over
from tests.services.ports import HOST, PortBlock

PATIENCE_S = CONNECT_TIMEOUT_S + 2 + 2
"""The master's for each of its two calls, and a little."""
Answer = Callable[[bytes], bytes]


@dataclass
class Stranger:
    """Answers a request with what `answer` makes of its body; `line` is POST /nodes on the master that calls it."""

    port: int
    line: httpx.AsyncClient
    rows: Database
    answer: Answer = lambda _: b""
    challenge: str = field(default_factory=new_challenge)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            writer.write(self.answer(await reader.readexactly(length)))
            await writer.drain()
        writer.close()

    async def refused(self, answer: bytes | Answer) -> httpx.Response:
        """What the master says to its caller, in time and without the challenge."""
        self.answer = answer if callable(answer) else lambda _: answer
        wish = {"ip": HOST, "port": self.port, "challenge": self.challenge}
        async with asyncio.timeout(PATIENCE_S):
            told = await self.line.post("/nodes", json=wish)
        assert told.status_code in (403, 502, 504), (told.text, answer)
        assert told.headers["content-type"] == "application/problem+json"
        assert self.challenge not in told.text
        return told

    async def nodes(self) -> int:
        async with self.rows.session() as session:
            return len(await session.rows("sync.select_logins"))


@pytest.fixture
async def stranger(enrolment: Enrolment, rows: Database, block: PortBlock) -> AsyncIterator[Stranger]:
    waiter = Notifications(rows, lambda: None, lambda: None, lambda _: None)
    app = app_over(
        api_parts(
            rows,
            enroller=enrolment,
            notifications=waiter,
            syncer=Syncer(),
            event_stream=EventStream(rows),
            deliveries=DeliveryRunner(rows, allow_private=False),
        )
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://master") as line:
        made = Stranger(block.port(1), line, rows)
        async with await asyncio.start_server(made.serve, HOST, made.port):
            yield made


def response(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    rows = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(rows) + b"\r\n\r\n" + body


SHAPE = {"e_n": "A" * 43 + "=", "n_n": "A" * 43 + "=", "box": "AAAA"}
LOW_ORDER = base64.b64encode(bytes(32)).decode()
BODIES = [
    *(
        json.dumps(SHAPE | change).encode()
        for change in ({}, {"e_n": LOW_ORDER}, {"e_n": ""}, {"e_n": "é"}, {"box": None})
    ),
    *(
        json.dumps(SHAPE | change).encode()
        for change in ({"box": "A" * 65_536}, {"box": "A" * 65_537}, {"e_n": 10**400})
    ),
    *(
        json.dumps(SHAPE | change).encode()
        for change in ({"e_n": "\ud800"}, {"n_n": "\ud800"}, {"n_n": "\0"}, {"box": "="})
    ),
    *(b"[" * 100_000, b"NaN", b"1e999", b"9" * 100_000, b'{"e_n":' * 10_000, b"\xff\xfe", b"", b"null", b'"\\ud800"'),
]
ODD = [
    response(b"{}", b"Content-Encoding: gzip"),
    response(b"{}", b"Content-Encoding: deflate, gzip, br, zstd, x"),
    response(b"{}", b"Set-Cookie: a=b; expires=x; domain=..; path", b"Set-Cookie: \xff\xfe=;;;=", b"Set-Cookie2: a"),
    response(b"{}", b"Set-Cookie: a=b; Version=x; Max-Age=9999999999999999999999"),
    response(b"{}", b"Content-Type: application/json; charset=x"),
    response(b"{}", b"X: y" * 20_000),
    response(b"", *[b"X: y"] * 5_000),
    response(b"x", status=b"200 \xff\xfe"),
    response(b"x", status=b"999 x"),
    response(b"x", status=b"500 x"),
    response(b"x", status=b"204 x"),
    response(b"", status=b"101 x"),
    b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n" + b"x" * 1_000_000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n{\r\n" * 20_000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    b"\x16\x03\x01\x02\x00\x01",
]
PLACES = [
    b"/enrol/hello",
    b"http://[",
    b"http://[::1",
    b"http://x:99999/",
    b"http://\xff/",
    b"//",
    b":",
    b"http://xn--/",
    b"file:///etc",
]
PLACES += [b"http://a b/", b"http://" + b"a" * 300, b"?" * 60_000, b"", b"\xe9", b"http://x@y@z:/", b"http://\x7f"]


@pytest.mark.parametrize("status", [b"301 x", b"302 x", b"303 x", b"307 x", b"308 x"])
async def test_no_place_that_a_stranger_points_to_is_gone_to(stranger: Stranger, status: bytes) -> None:
    for place in PLACES:
        await stranger.refused(response(b"", b"Location: " + place, status=status))
    assert await stranger.nodes() == 0


async def test_no_body_of_a_stranger_fails_the_master(stranger: Stranger) -> None:
    for body in BODIES:
        await stranger.refused(response(body))
    assert await stranger.nodes() == 0


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, gzip"])
async def test_nothing_that_a_stranger_packed_is_unpacked(stranger: Stranger, coding: bytes) -> None:
    packed = bytes(30_000_000)
    for _ in coding.split(b","):
        packed = gzip.compress(packed)
    tracemalloc.start()
    try:
        await stranger.refused(response(packed, b"Content-Encoding: " + coding))
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
async def test_no_odd_answer_fails_the_master(stranger: Stranger, answer: bytes) -> None:
    await stranger.refused(answer)
    assert await stranger.nodes() == 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_hostile_answer_fails_the_master(stranger: Stranger, seed: int) -> None:
    malice = Malice(seed)
    for _ in range(150):
        await stranger.refused(malice.origin())
    assert await stranger.nodes() == 0


def sealed(challenge: str, content: bytes) -> Answer:
    """The right proof with this in its box; whatever comes after a hello is answered with nonsense."""

    def answer(asked: bytes) -> bytes:
        told = json.loads(asked)
        if "mac" not in told:
            return response(b'{"box": "AAAA"}')
        node = NodeHandshake(challenge, Hello.model_validate(told))
        box = seal(node._keys.to_master, NODE_NONCE, node._keys.transcript, content)
        return response(json.dumps({"e_n": node._e_n, "n_n": node._n_n, "box": box}).encode())

    return answer


UNREADABLE = [
    b"",
    b"{",
    b"[" * 40_000,
    b"null",
    b"[]",
    b'{"host": 5}',
    b'{"host": "\\ud800"}',
    b'{"addresses": {}}',
    b"\xff",
]
UNREADABLE += [
    json.dumps(facts).encode() for facts in ({"host": "a" * 256}, {"addresses": ["a"] * 257}, {"engines": {"a": 1}})
]
READABLE: list[dict[str, Any]] = [
    {},
    {
        "host": "\0",
        "os": "\0" * 255,
        "agent": "\x1b[31m\u202e\r\n",
        "addresses": ["\0"],
        "engines": {"a\0": "1", "a": "2"},
    },
    {"host": "'; DROP TABLE nodes; --", "os": "%s{}", "addresses": ["1.2.3.4/99", "", "::%eth0"], "x": {"y": [None]}},
    {"host": "\U0010ffff" * 255, "engines": {"é" * 40: "\U0010ffff" * 100}, "addresses": ["\U0010ffff" * 64] * 150},
    {"engines": {"": ""}, "agent": "9" * 100, "host": "\ufeff\u2028"},
]


async def test_no_facts_that_cannot_be_read_fail_the_master(stranger: Stranger) -> None:
    for content in UNREADABLE:
        assert (await stranger.refused(sealed(stranger.challenge, content))).status_code == 403
    assert await stranger.nodes() == 0


@pytest.mark.parametrize("facts", READABLE, ids=range(len(READABLE)))
async def test_odd_facts_with_the_right_proof_can_be_shown(stranger: Stranger, facts: dict[str, Any]) -> None:
    """A node that proved itself is remembered by its challenge, though it did not confirm: it may be told again."""
    await stranger.refused(sealed(stranger.challenge, json.dumps(facts, ensure_ascii=False).encode()))
    shown = await stranger.line.get("/nodes")
    assert shown.status_code == 200
    assert len(shown.json()["items"]) == await stranger.nodes() == 1
