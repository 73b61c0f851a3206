"""Hostile bytes for a real worker over real sockets, in a network that leads nowhere else."""

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.net.timeouts import HANDSHAKE_S, LINGER_S
from node.engine.builtin.pool.control_client import ControlClient
from node.engine.builtin.pool.processes import connect_worker
from shared.proxies import ProxyRecord
from tests.cluster.networks import CLONE_NEWNET, call, raise_loopback, require
from tests.fuzz.fragments import LOGIN, TRAP
from tests.fuzz.hostile_bytes import Malice

HERE = "127.0.0.1"
LOCAL = ("127.0.0.0/8", "::1/128")
PORTS = {"http": 21001, "socks5": 21002, "mixed": 21003}
WEB, BLIND = 21010, 21011
BYTES, WARM_BYTES, MANY_BYTES = 300_000, 150_000, 10_000_000
AT_ONCE = 20
END_S = 20.0
"""Twelve for a dial, three to linger."""
GROWTH = 6 * 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TROUBLE = (OSError, asyncio.IncompleteReadError)


def apart(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs it in a thread whose network has a loopback and nothing else."""
    require()

    def run() -> None:
        call("unshare", CLONE_NEWNET)
        raise_loopback()
        asyncio.run(act())

    with ThreadPoolExecutor(1) as threads:
        threads.submit(run).result()


async def closed(writer: asyncio.StreamWriter) -> None:
    """What is not sent yet still goes out, if the other side takes it."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@dataclass
class Origins:
    """One that counts on HTTP and tells what it could not understand, and one that answers whatever it is sent."""

    malice: Malice
    wrong: list[bytes] = field(default_factory=list[bytes])
    requests: int = 0
    open: int = 0

    async def web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with suppress(*TROUBLE):
            await self.serve(reader, writer)
        await closed(writer)
        self.open -= 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Request by request; every second answer is hostile too."""
        heard, connection = b"", h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        while data := await reader.read(65536):
            heard += data
            # The other reader knows no bytes past ASCII in a target.
            connection.receive_data(bytes(byte if byte < 0x80 else 0x78 for byte in data))
            while self.understood(connection, heard):
                writer.write(OK if self.requests % 2 else self.malice.origin())
                if self.requests % 2 == 0 or connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()

    def understood(self, connection: h11.Connection, heard: bytes) -> bool:
        """Whether there was a whole request; it is noted when it cannot be one that was meant for here."""
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                    return False
                if isinstance(event, h11.Request) and dict(event.headers).get(b"host") == TRAP:
                    self.wrong.append(heard)
        except h11.RemoteProtocolError:
            self.wrong.append(heard)
            return False
        self.requests += 1
        connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        return True

    async def blind(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with suppress(*TROUBLE):
            writer.write(self.malice.noise(100))
            await reader.read()
        await closed(writer)
        self.open -= 1


@dataclass
class Worker:
    """One worker with a proxy of each protocol."""

    directory: Path
    engine: BuiltinEngine

    def link(self) -> ControlClient:
        connection = connect_worker(self.directory, 0)
        assert connection is not None
        return ControlClient(connection, heard=lambda: None, lost=lambda: None)

    async def state(self) -> tuple[int, int]:
        """Its pid and how many faults it had."""
        link = self.link()
        stats = await link.call("stats", timeout=4)
        link.close()
        return link.pid, stats["faults"]

    async def quiet(self, origins: Origins) -> None:
        """Until no connection is open on either side."""
        async with asyncio.timeout(END_S):
            while origins.open or any(counters["open"] for counters in (await self.engine.stats()).values()):
                await asyncio.sleep(0.05)

    def memory(self) -> int:
        """Bytes that its process holds (proc(5))."""
        link = self.link()
        link.close()
        return int(Path(f"/proc/{link.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def started(directory: Path, engine: BuiltinEngine) -> Worker:
    """With its proxies."""
    for id_, (protocol, port) in enumerate(PORTS.items(), 1):
        fields = {"protocol": protocol, "port": port, "username": "alice", "password": "wonder"}
        await engine.start(ProxyRecord.model_validate({"id": id_, "version": 1, "content": 1, **fields}))
    return Worker(directory, engine)


async def attacked(directory: Path, seed: int, total: int) -> None:
    """Warmed up by a part of it, so that what grows after that is a leak."""
    origins = Origins(Malice(seed + 100))
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        worker = await started(directory, engine)
        web = await asyncio.start_server(origins.web, HERE, WEB, backlog=1024)
        blind = await asyncio.start_server(origins.blind, HERE, BLIND, backlog=1024)
        async with web, blind:
            await stormed(Malice(seed + 1, WEB, BLIND), WARM_BYTES)
            await worker.quiet(origins)
            before, memory = await worker.state(), worker.memory()
            assert before[1] == 0, log_of(directory)
            await stormed(Malice(seed, WEB, BLIND), total)
            await worker.quiet(origins)
            assert await worker.state() == before, (seed, log_of(directory))
            assert worker.memory() - memory < GROWTH, seed
            assert origins.requests > total / 5000, seed
            assert not origins.wrong, (seed, origins.wrong[0])
            await well_behaved()
            await worker.quiet(origins)


def log_of(directory: Path) -> str:
    return (directory / "worker-0.log").read_text()[-2000:]


async def stormed(malice: Malice, total: int) -> None:
    """Several connections at once, each message cut in two at the next place."""
    messages, cuts = malice.clients(total), itertools.count(1)
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(customer(messages, cuts, malice))


async def customer(messages: Iterator[bytes], cuts: Iterator[int], malice: Malice) -> None:
    for data in messages:
        port = PORTS["socks5"] if data[0] in (4, 5) and next(cuts) % 2 else malice.dice.choice([*PORTS.values()])
        try:
            async with asyncio.timeout(END_S):
                await said(port, data, next(cuts) % len(data))
        except TimeoutError:
            raise AssertionError(f"hung: seed {malice.seed}, port {port}, {data!r}") from None


async def said(port: int, data: bytes, cut: int) -> bytes:
    """All that comes back; the client tells that it has no more to say."""
    reader, writer = await asyncio.open_connection(HERE, port)
    try:
        writer.write(data[:cut])
        await asyncio.sleep(0)
        writer.write(data[cut:])
        writer.write_eof()
        return await reader.read()
    except TROUBLE:
        return b""
    finally:
        await closed(writer)


async def well_behaved() -> None:
    """A client that only wants what it should; of two answers of the origin one is hostile, or none at all."""
    request = b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nProxy-Authorization: %b\r\n\r\n" % (WEB, LOGIN)
    answers = [await said(PORTS["mixed"], request, 1) for _ in range(2)]
    assert any(answer.startswith(b"HTTP/1.1 200") for answer in answers), answers


@pytest.mark.parametrize("seed", [1])
def test_hostile_clients_and_origins_neither_harm_a_worker_nor_smuggle_through_it(directory: Path, seed: int) -> None:
    apart(lambda: attacked(directory, seed, BYTES))


@pytest.mark.long
def test_ten_million_hostile_bytes_neither_harm_a_worker_nor_smuggle_through_it(directory: Path) -> None:
    apart(lambda: attacked(directory, 3, MANY_BYTES))


@pytest.mark.long
def test_no_unfinished_handshake_outlives_its_limit(directory: Path) -> None:
    apart(lambda: unfinished(directory))


async def unfinished(directory: Path) -> None:
    """Every beginning of an HTTP head and of a SOCKS5 handshake, and then silence."""
    head = b"GET http://127.0.0.1/ HTTP/1.1\r\nProxy-Authorization: %b\r\n\r\n" % LOGIN
    socks = b"\5\1\2\1\5alice\6wonder\5\1\0\1\x7f\0\0\1\0\x50"
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        worker = await started(directory, engine)
        async with asyncio.timeout(HANDSHAKE_S + LINGER_S + 5), asyncio.TaskGroup() as group:
            for kind, data in (("http", head), ("socks5", socks), ("mixed", head), ("mixed", socks)):
                for cut in range(len(data)):
                    group.create_task(silent(PORTS[kind], data[:cut]))
        assert (await worker.state())[1] == 0


async def silent(port: int, data: bytes) -> None:
    """Until the other side ends it."""
    reader, writer = await asyncio.open_connection(HERE, port)
    writer.write(data)
    with suppress(*TROUBLE):
        await reader.read()
    await closed(writer)
