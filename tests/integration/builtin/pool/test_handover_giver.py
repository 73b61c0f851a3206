"""A handover between a worker and one that is held up, or takes and does not go on: nobody notices."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.accounting.ledger import Ledger
from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.frames import Message, frame
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.records import read_record
from node.engine.builtin.pool.batches import record_fields
from node.engine.builtin.pool.listeners import open_listener
from node.engine.builtin.pool.processes import connect_worker
from node.engine.builtin.sessions.http_session import HttpSession
from node.engine.builtin.sessions.protocol_detection import ProtocolDetection
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.sessions.tunnel import Tunnel
from node.engine.builtin.worker.handover.channel import Channel, ClosedError
from node.engine.builtin.worker.handover.connections import pack, unpack
from node.engine.builtin.worker.handover.giver import give
from node.engine.builtin.worker.handover.leftovers import Leftovers
from node.engine.builtin.worker.proxies import Proxies
from shared.proxies import ProxyRecord
from tests.clients.streams import (
    HERE,
    LOCAL,
    LOGIN,
    Streams,
    dialled,
    echo,
    echoes,
    head_of,
    record,
    serving,
    tunnel,
    until,
)

SOON_S = 2.0

Untaken = tuple[ProxyRecord, int, list[Streams]]


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[BuiltinEngine]:
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        yield engine


def joined(directory: Path, op: str, **fields: Any) -> socket.socket:
    """To the worker, which was told to give, or to take, at the other end."""
    mine, its = socket.socketpair()
    control = connect_worker(directory, 0)
    assert control is not None
    with control, its:
        socket.send_fds(control, [frame({"id": 1, "op": op, "fds": 1, **fields})], [its.fileno()])
    return mine


class HeldUp(Channel):
    """The process has no processor for a while once it has said this."""

    def __init__(self, connection: socket.socket, after: str) -> None:
        super().__init__(connection)
        self.after = after
        self.said, self.go = asyncio.Event(), asyncio.Event()

    async def send(self, op: str, *, fds: Sequence[int] = (), **fields: Any) -> None:
        await super().send(op, fds=fds, **fields)
        if op == self.after:
            self.said.set()
            await self.go.wait()


@asynccontextmanager
async def running(tmp_path: Path, proxy: ProxyRecord) -> AsyncIterator[Proxies]:
    """In this process."""
    reactor = Reactor(asyncio.get_running_loop())
    reactor.may_connect = bool
    proxies = Proxies(reactor, Ledger(tmp_path / "usage"))
    proxies.put(read_record({**record_fields(proxy), "allow_ips": []}), [open_listener(HERE, proxy.port)])
    try:
        yield proxies
    finally:
        proxies.close()
        reactor.close()


async def are_served(proxy: ProxyRecord, port: int) -> bool:
    """Some who come now; with the silent one before them, clients get numbers that connections to origins had."""
    async with dialled(proxy.port), AsyncExitStack() as stack:
        return all([await echoes(await stack.enter_async_context(tunnel(proxy, port))) for _ in range(8)])


async def has_none(engine: BuiltinEngine) -> bool:
    """Whether there is a proxy, and no connection to it any more."""
    return [counters["open"] for counters in (await engine.stats()).values()] == [0]


async def test_whoever_connects_is_served_while_the_process_before_is_held_up(
    engine: BuiltinEngine, directory: Path, tmp_path: Path
) -> None:
    """What has moved ends in the new process, and whoever comes next gets the numbers of its descriptors."""
    async with serving(echo) as port, running(tmp_path, proxy := record()) as proxies:
        with closing(HeldUp(joined(directory, "take", giver=os.getpid()), "committed")) as channel:
            async with asyncio.TaskGroup() as tasks:
                async with AsyncExitStack() as stack:
                    moved = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(4)]
                    tasks.create_task(give(proxies, channel))
                    await channel.said.wait()
                    assert all([await echoes(streams) for streams in moved])
                await until(lambda: has_none(engine))
                assert await are_served(proxy, port)
                channel.go.set()


async def test_connections_of_a_proxy_that_expires_amid_a_handover_are_closed(
    engine: BuiltinEngine, directory: Path, tmp_path: Path
) -> None:
    expiry = datetime.now(UTC) + timedelta(seconds=0.5)
    async with (
        serving(echo) as port,
        running(tmp_path, proxy := record(limits={"expires_at": expiry})) as proxies,
        tunnel(proxy, port) as (reader, _),
    ):
        with closing(HeldUp(joined(directory, "take", giver=os.getpid()), "connections")) as channel:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(give(proxies, channel))
                await channel.said.wait()
                await asyncio.sleep((expiry - datetime.now(UTC)).total_seconds())
                channel.go.set()
            async with asyncio.timeout(SOON_S):
                assert await reader.read() == b""


async def have_begun(proxies: Proxies, count: int) -> bool:
    """Whether so many clients have come, and what they say first is read."""
    clients = [client for service in proxies.batch(1) for client in service.open]
    return len(clients) == count and {type(client.stage) for client in clients} == {
        ProtocolDetection,
        HttpSession,
        Tunnel,
    }


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_clients_that_reset_their_connections_amid_a_handover_are_forgotten(
    engine: BuiltinEngine, directory: Path, tmp_path: Path
) -> None:
    async with serving(echo) as port, running(tmp_path, proxy := record()) as proxies:
        with closing(HeldUp(joined(directory, "take", giver=os.getpid()), "connections")) as channel:
            async with dialled(proxy.port) as silent, dialled(proxy.port) as begun, tunnel(proxy, port) as moved:
                begun[1].write(b"GET http://")
                await until(lambda: have_begun(proxies, 3))
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(give(proxies, channel))
                    await channel.said.wait()
                    for _, writer in (silent, begun, moved):
                        reset(writer)
                    channel.go.set()
            await until(lambda: has_none(engine))


async def test_a_client_between_two_requests_has_as_much_time_in_the_new_process(tmp_path: Path) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read()

    async with serving(page) as port, running(tmp_path, proxy := record()) as proxies, dialled(proxy.port) as streams:
        streams[1].write(f"GET http://{HERE}:{port}/ HTTP/1.1\r\nHost: h\r\n{LOGIN}\r\n\r\n".encode())
        await head_of(streams[0])
        (service,) = proxies.batch(1)
        packed = pack(*service.open)
        assert packed is not None
        unpack(service, packed.state, [os.dup(fd) for fd in packed.fds])
        packed.close()
        assert len(service.reactor.idle.entries) == 1


async def used(remaining: Leftovers) -> Message:
    """What is told to another worker, which is gone before it answers."""
    mine, its = map(Channel, socket.socketpair())
    with closing(mine), closing(its):
        async with asyncio.TaskGroup() as tasks:
            rest = tasks.create_task(remaining.run(its))
            message, _ = await mine.receive()
            rest.cancel()
    return message


async def test_what_was_moved_is_told_until_it_has_been_heard(tmp_path: Path) -> None:
    async with running(tmp_path, proxy := record()) as proxies, dialled(proxy.port):
        (service,) = proxies.batch(1)
        await until(lambda: has_come(service))
        proxies.hand_over([service])
        remaining = Leftovers(proxies)
        service.received += 5
        assert (await used(remaining))["proxies"] == [[1, 5]]
        assert (await used(remaining))["proxies"] == [[1, 5]]


async def has_come(service: Proxy) -> bool:
    return bool(service.open)


async def copies(channel: Channel) -> list[int]:
    """The descriptors of all that the worker at the other end gives, which is told nonsense then and keeps it all."""
    kept: list[int] = []
    with suppress(ClosedError):
        op = ""
        while op != "abort":
            message, fds = await channel.receive()
            kept += fds
            op = message["op"]
            if answer := {"hello": "welcome", "end": "nonsense"}.get(op):
                await channel.send(answer)
    return kept


@pytest.fixture
async def untaken(engine: BuiltinEngine, directory: Path) -> AsyncIterator[Untaken]:
    """A proxy and four connections through it to an origin at that port, after a handover that came to nothing and of
    which another process still has everything."""
    await engine.start(proxy := record())
    async with serving(echo) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(4)]
        with closing(Channel(joined(directory, "give"))) as channel:
            kept = await copies(channel)
        yield proxy, port, tunnels
        for fd in kept:
            os.close(fd)


async def test_whoever_connects_is_served_after_a_handover_that_came_to_nothing(
    engine: BuiltinEngine, untaken: Untaken
) -> None:
    proxy, port, tunnels = untaken
    for _, writer in tunnels:
        writer.close()
    await until(lambda: has_none(engine))
    assert await are_served(proxy, port)


async def test_connections_of_a_handover_that_came_to_nothing_go_on_and_end_as_ever(untaken: Untaken) -> None:
    for streams in untaken[2]:
        assert await echoes(streams)
        streams[1].write_eof()
        async with asyncio.timeout(SOON_S):
            assert await streams[0].read() == b""


async def test_a_proxy_can_be_stopped_after_a_handover_that_came_to_nothing(
    engine: BuiltinEngine, untaken: Untaken
) -> None:
    proxy, port, tunnels = untaken
    await engine.stop(proxy.id)
    for reader, _ in tunnels:
        async with asyncio.timeout(SOON_S):
            assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HERE, proxy.port)
    await engine.start(proxy)
    async with tunnel(proxy, port) as streams:
        assert await echoes(streams)
