"""Clients, origins and records for tests that use a proxy of the built-in engine over real sockets."""

import asyncio
import base64
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from shared.proxies import ProxyRecord

HERE = "127.0.0.1"
LOCAL = ("127.0.0.0/8", "::1")
LIMIT_S = 10.0
LOGIN = "Proxy-Authorization: Basic " + base64.b64encode(b"alice:wonder").decode()

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def free_port() -> int:
    while True:
        port = random.randint(20000, 29999)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HERE, port))
            return port


def record(id_: int = 1, **changes: Any) -> ProxyRecord:
    fields = {"id": id_, "version": 1, "content": 7, "protocol": "mixed", "username": "alice", "password": "wonder"}
    return ProxyRecord.model_validate(fields | {"port": free_port()} | changes)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(answer: Answer, host: str = HERE) -> AsyncIterator[int]:
    """The port of a server whose sessions are all over when the context is left."""
    open_writers: set[asyncio.StreamWriter] = set()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        open_writers.discard(writer)

    async def over() -> bool:
        return not open_writers

    server = await asyncio.start_server(session, host, 0, backlog=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_writers:
            writer.transport.abort()
        await until(over)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def dialled(port: int, host: str = HERE) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(LIMIT_S * 3):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str | bytes) -> bytes:
    """Everything that comes back until the proxy closes."""
    writer.write(request if isinstance(request, bytes) else request.encode())
    return await reader.read()


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def tunnel(proxy: ProxyRecord, port: int) -> AsyncIterator[Streams]:
    async with dialled(proxy.port) as (reader, writer):
        writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        assert (await head_of(reader)).startswith(b"HTTP/1.1 200")
        yield reader, writer


async def echoes(streams: Streams, data: bytes = b"still here") -> bool:
    streams[1].write(data)
    async with asyncio.timeout(LIMIT_S):
        return await streams[0].readexactly(len(data)) == data


async def flows_whole(streams: Streams, done: asyncio.Event) -> bool:
    """Pours random bytes into an echo and reads them back meanwhile, until the event; whether all came back."""
    reader, writer = streams
    block, sent, back = random.randbytes(1 << 16), hashlib.sha256(), hashlib.sha256()

    async def pour() -> None:
        while not done.is_set():
            writer.write(block)
            sent.update(block)
            await writer.drain()
        writer.write_eof()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pour())
        while data := await reader.read(1 << 18):
            back.update(data)
    return back.digest() == sent.digest()
