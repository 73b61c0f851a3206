"""HTTP as it is really spoken, through the built-in engine: logins of connections, chunks for old clients."""

import asyncio
import itertools
import random
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.http_requests import OK, PASSED_ON, get
from tests.clients.streams import HERE, LOCAL, LOGIN, Answer, dialled, head_of, record, said, serving

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ASK = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM%b\r\nContent-Length: 0\r\n\r\n"


def answering(answer: bytes) -> Answer:
    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head_of(reader)
            writer.write(answer)

    return answer_all


def post(port: int, *fields: str) -> bytes:
    return get(port, "/", "Content-Length: 2", *fields, method="POST").encode() + b"hi"


async def test_a_login_of_a_connection_by_post_comes_to_its_end(engine: BuiltinEngine) -> None:
    """Each of its three requests has to come by the same connection (RFC 4559 §6), and so has what follows it."""
    await engine.start(proxy := record())
    connections: list[list[bytes]] = []

    async def ntlm(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(heads := [])
        for answer in (ASK % b"", ASK % b" challenge", OK, OK):
            heads.append(await head_of(reader))
            assert await reader.readexactly(2) == b"hi"
            writer.write(answer)
        await reader.read()

    async with serving(ntlm) as port, dialled(proxy.port) as (reader, writer):
        for fields in ((), ("Authorization: NTLM one",), ("Authorization: NTLM three",), ()):
            writer.write(post(port, *fields))
            head = await head_of(reader)
            if head == PASSED_ON[:-2]:
                assert await reader.readexactly(2) == b"ok"
        assert head == PASSED_ON[:-2]
    assert [len(heads) for heads in connections] == [4]


async def test_what_must_not_be_sent_twice_is_not(engine: BuiltinEngine) -> None:
    """The origin ends a connection that was logged in while a request is on its way, and does not say what became of
    it."""
    await engine.start(proxy := record())
    heard: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await head_of(reader))
        await reader.readexactly(2)
        writer.write(ASK % b"")
        heard.append(await head_of(reader))

    async with serving(once) as port, dialled(proxy.port) as (reader, writer):
        writer.write(post(port))
        await head_of(reader)
        writer.write(post(port, "Authorization: NTLM one"))
        assert (await head_of(reader)).startswith(b"HTTP/1.1 502 ")
    assert len(heard) == 2


async def test_a_login_begins_anew_when_the_origin_has_ended_its_connection(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    closed = asyncio.Event()

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        await reader.readexactly(2)
        writer.write(ASK % b"")
        await writer.drain()
        writer.close()
        closed.set()

    async with serving(short) as port, dialled(proxy.port) as (reader, writer):
        for _ in range(3):
            closed.clear()
            writer.write(post(port))
            assert (await head_of(reader)).startswith(b"HTTP/1.1 401 ")
            await closed.wait()


async def test_other_posts_go_by_connections_of_their_own(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    peers: set[object] = set()

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        while True:
            await head_of(reader)
            await reader.readexactly(2)
            writer.write(OK)

    async with serving(counted) as port, dialled(proxy.port) as (reader, writer):
        for _ in range(2):
            writer.write(post(port))
            assert await reader.readexactly(len(PASSED_ON)) == PASSED_ON
    assert len(peers) == 2


@pytest.mark.parametrize("size", [10, 5_000_000])
async def test_an_http_1_0_client_gets_the_content_of_chunks(engine: BuiltinEngine, size: int) -> None:
    await engine.start(proxy := record())
    body = random.randbytes(size)
    cuts = sorted({0, 1, 5, size // 2, size // 2 + 3, size})
    chunks = b"".join(b"%x\r\n%b\r\n" % (end - at, body[at:end]) for at, end in itertools.pairwise(cuts))
    async with (
        serving(answering(CHUNKED + chunks + b"0\r\nX: y\r\n\r\n")) as port,
        dialled(proxy.port) as (reader, writer),
    ):
        request = f"GET http://{HERE}:{port}/ HTTP/1.0\r\n{LOGIN}\r\nConnection: keep-alive\r\n\r\n"
        head, _, content = (await said(reader, writer, request)).partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 OK\r\nVia: 1.1 maybe-proxy\r\nConnection: close"
    assert content == body


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("chunks", [b"zz\r\n", b"\r\n", b"-1\r\n", b"2\nok\r\n", b"1\r\nok\r\n", b"2;\0\r\nok\r\n"])
async def test_chunks_that_cannot_be_read_are_told_as_such(
    engine: BuiltinEngine, version: bytes, chunks: bytes
) -> None:
    await engine.start(proxy := record())
    answer = b"HTTP/%b 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (version, chunks)
    async with serving(answering(answer)) as port, dialled(proxy.port) as (reader, writer):
        for _ in range(2):
            writer.write(get(port).encode())
            head = await head_of(reader)
            assert head.startswith(b"HTTP/1.1 502 ")
            await reader.readline()


async def test_chunks_whose_last_empty_line_is_missing_end_with_their_connection(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(CHUNKED + b"2\r\nok\r\n0\r\n")

    async with serving(short) as port, dialled(proxy.port) as (reader, writer):
        for _ in range(2):
            writer.write(get(port).encode())
            await head_of(reader)
            assert await reader.readexactly(12) == b"2\r\nok\r\n0\r\n\r\n"


async def test_sizes_of_a_requests_chunks_reach_the_origin_in_one_spelling(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    heard = bytearray()

    async def hearing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        heard.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)
        await reader.read()

    async with serving(hearing) as port, dialled(proxy.port) as (reader, writer):
        request = get(port, "/", "Transfer-Encoding: chunked", method="POST").encode()
        for piece in (request + b"00000", b"0000000000000002;x=", b"y\r\no", b"k\r", b"\n00000", b"0000\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
            await engine.stats()
        assert await reader.readexactly(len(PASSED_ON)) == PASSED_ON
    assert heard == b"2\r\nok\r\n0\r\n\r\n"


async def test_a_proxy_may_go_without_a_name(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def hearing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await head_of(reader))
        writer.write(OK)

    async with BuiltinEngine(tmp_path / "quiet", listen=HERE, workers=1, allow_destinations=LOCAL, via="") as engine:
        await engine.start(proxy := record())
        try:
            async with serving(hearing) as port, dialled(proxy.port) as (reader, writer):
                writer.write(get(port).encode())
                assert await reader.readexactly(len(OK)) == OK
        finally:
            await engine.halt()
    assert b"via" not in heard[0].lower()


async def test_the_proxys_own_answer_to_options_keeps_the_connection(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(answering(OK)) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port, "/", "Max-Forwards: 0", method="OPTIONS").encode())
        head = await head_of(reader)
        assert b"\r\nAllow: GET, " in head
        assert b"\r\nDate: " in head
        writer.write(get(port, "/", "Max-Forwards: 1", method="OPTIONS").encode())
        assert await reader.readexactly(len(PASSED_ON)) == PASSED_ON


async def test_a_response_head_of_200_kib_reaches_the_client(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"a" * 200) for number in range(1000))
    answer = b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nok"
    async with serving(answering(answer)) as port, dialled(proxy.port) as (reader, writer):
        got = await said(reader, writer, get(port, "/", "Connection: close"))
    assert fields in got
    assert got.endswith(b"\r\n\r\nok")
