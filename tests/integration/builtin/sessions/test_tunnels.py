"""Tunnels through the built-in engine: what goes in comes out, whatever either side does."""

import asyncio
import hashlib
import os
import random
import signal
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.http_requests import get
from tests.clients.streams import HERE, dialled, echo, echoes, record, said, serving, tunnel, until
from tests.engines.workers import resident, worker_pid
from tests.services.sockets import KEEPALIVE, Endpoint, connection


async def test_a_destination_that_speaks_first_is_heard_at_once(engine: BuiltinEngine) -> None:
    """The end of the handshake waits for the client to speak first, but not for the 0.2 s of the kernel."""
    await engine.start(proxy := record())
    waited: list[float] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await reader.read()

    async with serving(greet) as port:
        for _ in range(5):
            began = time.monotonic()
            async with tunnel(proxy, port) as (reader, _):
                assert await reader.readline() == b"220 ready\r\n"
            waited.append(time.monotonic() - began)
    assert min(waited) < 0.1


async def test_what_comes_behind_urgent_data_is_passed_on(engine: BuiltinEngine, directory: Path) -> None:
    """A read stops there (tcp(7)), also when everything up to the end has come meanwhile."""
    await engine.start(proxy := record())
    pid = worker_pid(directory)

    async def hurry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        os.kill(pid, signal.SIGSTOP)
        with writer.get_extra_info("socket").dup() as sock:
            sock.send(b"before")
            sock.send(b"!", socket.MSG_OOB)
            sock.send(b"behind")
            sock.shutdown(socket.SHUT_WR)
        os.kill(pid, signal.SIGCONT)

    async with serving(hurry) as port, tunnel(proxy, port) as (reader, writer):
        writer.write(b"?")
        assert await reader.read() == b"beforebehind"


async def test_each_direction_can_end_on_its_own(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())

    async def after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())

    async with serving(after_the_end) as port, tunnel(proxy, port) as (reader, writer):
        writer.write(b"all of it")
        writer.write_eof()
        assert await reader.read() == b"got all of it"


async def test_64_mib_arrive_whole_in_both_directions_at_once(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    block, count = random.randbytes(1 << 20), 64
    want = hashlib.sha256(block * count).hexdigest()

    async def pour(writer: asyncio.StreamWriter) -> None:
        for _ in range(count):
            writer.write(block)
            await writer.drain()
        writer.write_eof()

    async def digest(reader: asyncio.StreamReader) -> str:
        found = hashlib.sha256()
        while data := await reader.read(1 << 18):
            found.update(data)
        return found.hexdigest()

    arrived: asyncio.Queue[str] = asyncio.Queue()

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pour(writer))
            await arrived.put(await digest(reader))

    async with serving(both) as port, tunnel(proxy, port) as (reader, writer), asyncio.TaskGroup() as tasks:
        tasks.create_task(pour(writer))
        assert await digest(reader) == want
        assert await arrived.get() == want
    assert (await engine.stats())[proxy.id]["sent_bytes"] == count << 20


async def test_a_receiver_that_stalls_stops_the_sender_and_loses_nothing(
    engine: BuiltinEngine, directory: Path
) -> None:
    await engine.start(proxy := record())
    block, sent = random.randbytes(1 << 16), [0]

    async def pouring(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while sent[0] < 1600:
            writer.write(block)
            await writer.drain()
            sent[0] += 1

    async def stalled() -> bool:
        before = sent[0]
        await asyncio.sleep(0.3)
        return sent[0] == before

    memory = resident(worker_pid(directory))
    async with serving(pouring) as port, tunnel(proxy, port) as (reader, writer):
        writer.transport.pause_reading()
        await until(stalled)
        assert sent[0] < 1600
        assert resident(worker_pid(directory)) - memory < 2 << 20
        writer.transport.resume_reading()
        assert len(await reader.read()) == 1600 << 16


async def test_500_idle_tunnels_cost_little_and_all_still_work(engine: BuiltinEngine, directory: Path) -> None:
    await engine.start(proxy := record())
    memory = resident(worker_pid(directory))
    async with serving(echo) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(500)]
        assert (await engine.stats())[proxy.id]["open"] == 500
        assert resident(worker_pid(directory)) - memory < 500 * 8192
        for number, streams in enumerate(tunnels):
            assert await echoes(streams, b"%d" % number)


@pytest.mark.long
async def test_a_destination_that_never_answers_is_given_up_and_so_is_a_silent_client(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind((HERE, 0))
        deaf.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        port = deaf.getsockname()[1]
        socks = b"\5\1\2\1\5alice\6wonder\5\1\0\1\x7f\0\0\1" + struct.pack("!H", port)
        async with dialled(proxy.port) as http, dialled(proxy.port) as other, asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(said(*http, get(port, "/", "Connection: close")))
            assert await said(*other, socks) == b"\5\2\1\0" + b"\5\4\0\1\0\0\0\0\0\0"
            assert (await answer).startswith(b"HTTP/1.1 504 ")
    reader, writer = await asyncio.open_connection(HERE, proxy.port)
    async with asyncio.timeout(40):
        writer.write(b"GET http://h/ HT")
        assert await reader.read() == b""
    writer.close()


async def test_a_peer_that_vanished_is_found_out_on_either_side(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    peers: list[Endpoint] = []

    async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername"))
        await echo(reader, writer)

    async with serving(noting) as port, unwatched(port), tunnel(proxy, port) as streams:
        assert await echoes(streams)
        ends = [((HERE, proxy.port), streams[1].get_extra_info("sockname")), (peers[0], (HERE, port))]

        async def probed() -> bool:
            sockets = [connection(local, remote) for local, remote in ends]
            return [each and each.timer for each in sockets] == [KEEPALIVE, KEEPALIVE]

        await until(probed)


@asynccontextmanager
async def unwatched(port: int) -> AsyncIterator[None]:
    """A connection without keepalive to the same port number of another address, as any program may have one."""
    with socket.create_server(("127.0.0.2", port)) as server, socket.create_connection(server.getsockname()):
        yield
