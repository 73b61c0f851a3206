"""HTTP through the built-in engine: bodies arrive whole, or are not taken for whole."""

import asyncio
import hashlib
import os
import random
from contextlib import suppress

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.net.timeouts import LINGER_S
from tests.clients.http_requests import OK, PASSED_ON, get
from tests.clients.streams import dialled, head_of, record, said, serving, until


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 10\r\n\r\n123", b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n"],
    ids=["length", "chunked"],
)
async def test_a_client_that_ends_in_the_middle_of_a_body_before_its_turn_is_not_waited_for(
    engine: BuiltinEngine, body: bytes
) -> None:
    await engine.start(proxy := record())
    all_sent = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await head_of(reader)
        await all_sent.wait()
        if head.startswith(b"GET"):
            writer.write(OK)
        await reader.read()

    async with serving(slow) as port, dialled(proxy.port) as (reader, writer):
        post = get(port, method="POST").encode()[:-2] + body
        writer.write(get(port).encode() + post)
        writer.write_eof()
        for _ in range(3):
            await engine.stats()
        all_sent.set()
        with suppress(ConnectionError):
            await reader.read()

        async def forgotten() -> bool:
            return (await engine.stats())[proxy.id]["open"] == 0

        await until(forgotten)


async def test_nothing_of_a_body_that_cannot_be_read_goes_on(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    heard: list[bytes] = []

    async def listening(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            heard.append(data)

    async with serving(listening) as port, dialled(proxy.port) as (reader, writer):
        request = get(port, "/", "Transfer-Encoding: chunked", method="POST").encode()
        assert (await said(reader, writer, request + b"5 \0\r\nhello\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert b"\0" not in b"".join(heard)


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_request_bodies_pass_through_and_the_connection_goes_on(engine: BuiltinEngine, framing: str) -> None:
    await engine.start(proxy := record())
    body = os.urandom(300_000)
    sent = body if framing == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    field = f"Content-Length: {len(body)}" if framing == "length" else "Transfer-Encoding: chunked"

    async def measured(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        got = await reader.readexactly(len(sent))
        digest = hashlib.sha256(got).hexdigest().encode()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n%b\r\n0\r\n\r\n" % digest)

    async with serving(measured) as port, dialled(proxy.port) as (reader, writer):
        for _ in range(2):
            writer.write(get(port, "/", field, method="POST").encode() + sent)
            await head_of(reader)
            assert (await reader.readexactly(75))[4:68] == hashlib.sha256(sent).hexdigest().encode()


@pytest.mark.parametrize("framing", ["length", "chunked", "none"])
async def test_large_bodies_arrive_whole_in_every_framing(engine: BuiltinEngine, framing: str) -> None:
    await engine.start(proxy := record())
    body = random.randbytes(1 << 20) * 16
    chunks = b"".join(b"%x\r\n%b\r\n" % (4 << 20, body[at : at + (4 << 20)]) for at in range(0, len(body), 4 << 20))
    sent = chunks + b"0\r\n\r\n" if framing == "chunked" else body
    told = {"length": f"Content-Length: {len(body)}", "chunked": "Transfer-Encoding: chunked", "none": "A: b"}[framing]

    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        got = await reader.readexactly(len(sent)) if framing != "none" else body
        writer.write(f"HTTP/1.1 200 OK\r\n{told}\r\n\r\n".encode() + got)
        await writer.drain()

    async with serving(mirror) as port, dialled(proxy.port) as (reader, writer):
        request = get(port, "/", told, method="GET" if framing == "none" else "POST").encode()
        writer.write(request if framing == "none" else request + sent)
        assert (await head_of(reader)).startswith(b"HTTP/1.1 200")
        assert hashlib.sha256(await reader.readexactly(len(sent))).digest() == hashlib.sha256(sent).digest()


async def test_a_body_is_waited_for_until_the_origin_says_continue(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def careful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Expect: 100-continue" in await head_of(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(4) == b"body"
        writer.write(OK)

    async with serving(careful) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port, "/", "Content-Length: 4", "Expect: 100-continue", method="PUT").encode())
        assert await head_of(reader) == b"HTTP/1.1 100 Continue\r\nVia: 1.1 maybe-proxy\r\n\r\n"
        writer.write(b"body")
        assert await reader.readexactly(len(PASSED_ON)) == PASSED_ON


async def test_a_response_without_an_end_ends_with_its_connection(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1_000_000)

    async with serving(endless) as port, dialled(proxy.port) as (reader, writer):
        data = await said(reader, writer, get(port))
    assert data == b"HTTP/1.1 200 OK\r\nVia: 1.0 maybe-proxy\r\nConnection: close\r\n\r\n" + b"x" * 1_000_000


async def test_a_response_that_breaks_off_is_not_taken_for_whole(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    async with serving(short) as port, dialled(proxy.port) as (reader, writer):
        with pytest.raises(ConnectionResetError):
            await said(reader, writer, get(port))


async def test_an_answer_that_comes_before_the_whole_request_reaches_the_client(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    too_large = b"HTTP/1.1 413 Content Too Large\r\n"

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(too_large + b"Content-Length: 0\r\n\r\n")

    async with serving(impatient) as port, dialled(proxy.port) as (reader, writer):
        request = get(port, "/", "Content-Length: 10000000", method="POST").encode() + b"x" * 1000
        answer = await said(reader, writer, request)
    assert answer.startswith(too_large)
    assert b"\r\nConnection: close\r\n" in answer


async def test_a_client_may_send_all_of_its_request_before_it_reads_an_early_answer(engine: BuiltinEngine) -> None:
    """For longer than others are waited with at the end of their connection."""
    await engine.start(proxy := record())

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")

    async with serving(impatient) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port, "/", "Content-Length: 10000", method="POST").encode())
        for _ in range(10):
            writer.write(bytes(1000))
            await writer.drain()
            await asyncio.sleep(LINGER_S / 6)
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")


async def test_a_broken_chunk_is_refused_and_never_reaches_the_origin(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    heard = bytearray()

    async def listening(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            heard.extend(data)

    async with serving(listening) as port, dialled(proxy.port) as (reader, writer):
        request = get(port, "/", "Transfer-Encoding: chunked", method="POST") + "1\r\na\r\n"
        writer.write(request.encode())
        answer = await said(reader, writer, b"0\nGET http://smuggled/ HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"smuggled" not in heard
