"""Workers that are replaced by new processes while real clients use their proxies.

Long because every way to interrupt a handover is tried on the same set of connections, whose helpers are here.
"""

import asyncio
import hashlib
import os
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, closing, suppress
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.frames import FrameReader, Message, frame
from node.engine.builtin.pool.batches import record_fields
from node.engine.builtin.pool.listeners import open_listener
from node.engine.builtin.pool.pool import WorkerPool
from node.engine.builtin.pool.processes import connect_worker, worker_names, worker_pid
from node.engine.builtin.pool.upgrade import Moved
from node.engine.builtin.pool.worker_handle import WorkerHandle
from node.engine.interface import EngineError
from shared.proxies import ProxyRecord
from tests.bench.handover import Loss, measure
from tests.clients.http_requests import OK, PASSED_ON
from tests.clients.streams import (
    HERE,
    LIMIT_S,
    LOCAL,
    LOGIN,
    Streams,
    dialled,
    echo,
    echoes,
    flows_whole,
    free_port,
    head_of,
    record,
    serving,
    tunnel,
    until,
)

GREETING = b"\5\1\2\1\5alice\6wonder"
MOMENTS_MS = (2, 4, 8, 10, 15, 20, 25, 40)
"""Some of those at which a handover of so many can be disturbed; all of it takes some ten milliseconds."""


def opened(directory: Path, workers: int = 1) -> BuiltinEngine:
    return BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=workers)


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[BuiltinEngine]:
    async with opened(directory) as engine:
        yield engine


def pids(directory: Path) -> set[int]:
    """Of the workers that live."""
    return {pid for name in worker_names(directory) if (pid := worker_pid(directory, *name))}


def records(count: int) -> list[ProxyRecord]:
    """On ports of their own."""
    ports: dict[int, None] = {}
    while len(ports) < count:
        ports[free_port()] = None
    return [record(id_, port=port) for id_, port in enumerate(ports, 1)]


async def one_is_left(directory: Path) -> None:
    async def alone() -> bool:
        return len(pids(directory)) == 1

    await until(alone)


async def test_streams_run_on_whole_while_their_worker_is_relieved_again_and_again(
    engine: BuiltinEngine, directory: Path
) -> None:
    await engine.start(proxy := record())
    first, done = pids(directory), asyncio.Event()
    async with serving(echo) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(8)]
        async with asyncio.TaskGroup() as tasks:
            flows = [tasks.create_task(flows_whole(streams, done)) for streams in tunnels]
            moved = [(await engine.upgrade())[0] for _ in range(4)]
            done.set()
        assert all(flow.result() for flow in flows)
    assert [(each.proxies, each.connections) for each in moved] == [(1, 8)] * 4
    await one_is_left(directory)
    assert not first & pids(directory)
    assert await engine.running() == {1: 1}


@pytest.mark.parametrize(("listeners", "relays"), [(20, 100), pytest.param(1000, 4500, marks=pytest.mark.long)])
async def test_a_handover_costs_no_relay_no_byte_and_no_connect(
    engine: BuiltinEngine, listeners: int, relays: int
) -> None:
    (figures,), loss = await measure(engine, listeners, relays, 1, quiet_s=0.5)
    assert loss == Loss()
    assert figures.connects > 0


async def test_what_a_stalled_receiver_has_not_taken_arrives_after_the_handover(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    block = random.randbytes(1 << 20)

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(40):
            writer.write(block)
            await writer.drain()

    async with serving(pour) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(5)]
        for _, writer in tunnels:
            writer.transport.pause_reading()
        await until(lambda: carried(engine))
        for _ in range(2):
            await engine.upgrade()
        for reader, writer in tunnels:
            writer.transport.resume_reading()
            digest, count = hashlib.sha256(), 0
            while data := await reader.read(1 << 18):
                digest.update(data)
                count += len(data)
            assert count == 40 << 20
            assert digest.digest() == hashlib.sha256(block * 40).digest()


async def carried(engine: BuiltinEngine) -> bool:
    """Whether the senders have been stopped: nothing has moved for a while."""
    before = await engine.stats()
    await asyncio.sleep(0.3)
    return await engine.stats() == before


async def test_a_direction_that_has_ended_stays_ended_and_the_other_goes_on(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    asked, answer = asyncio.Event(), asyncio.Event()

    async def after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.read()
        asked.set()
        await answer.wait()
        writer.write(b"got " + got)

    async with serving(after_the_end) as port, tunnel(proxy, port) as (reader, writer):
        writer.write(b"all of it")
        writer.write_eof()
        await asked.wait()
        await engine.upgrade()
        answer.set()
        assert await reader.read() == b"got all of it"


async def test_whoever_connects_during_handovers_is_served(engine: BuiltinEngine) -> None:
    proxies = records(5)
    for proxy in proxies:
        await engine.start(proxy)
    done, served = asyncio.Event(), [0]

    async def connect_again_and_again(proxy: ProxyRecord, port: int) -> None:
        while not done.is_set():
            async with tunnel(proxy, port) as streams:
                assert await echoes(streams)
            served[0] += 1

    async with serving(echo) as port, asyncio.TaskGroup() as tasks:
        for proxy in proxies:
            tasks.create_task(connect_again_and_again(proxy, port))
        for _ in range(4):
            await engine.upgrade()
        done.set()
    assert served[0] > 20


async def test_clients_between_two_requests_go_on_in_the_new_process(engine: BuiltinEngine, directory: Path) -> None:
    await engine.start(proxy := record())

    async def pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head_of(reader)
            writer.write(OK)

    async with (
        serving(pages) as port,
        dialled(proxy.port) as idle,
        dialled(proxy.port) as begun,
        dialled(proxy.port) as silent,
    ):
        request = f"GET http://{HERE}:{port}/ HTTP/1.1\r\nHost: h\r\n{LOGIN}\r\n\r\n".encode()
        idle[1].write(request)
        assert await idle[0].readexactly(len(PASSED_ON)) == PASSED_ON
        begun[1].write(request[:30])
        await until(lambda: has_open(engine, 3))
        assert (await engine.upgrade())[0].connections == 3
        await one_is_left(directory)
        begun[1].write(request[30:])
        silent[1].write(request)
        idle[1].write(request)
        for reader, _ in (idle, begun, silent):
            assert await reader.readexactly(len(PASSED_ON)) == PASSED_ON


async def has_open(engine: BuiltinEngine, count: int) -> bool:
    return sum(counters["open"] for counters in (await engine.stats()).values()) == count


async def test_a_handshake_and_a_response_end_in_the_old_process_and_their_connections_then_move(
    engine: BuiltinEngine, directory: Path
) -> None:
    await engine.start(proxy := record())
    body, go = random.randbytes(100_000), asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body[:1000]))
            await go.wait()
            writer.write(body[1000:])

    async with (
        serving(slowly) as port,
        serving(echo) as other,
        dialled(proxy.port) as asking,
        dialled(proxy.port) as greeting,
    ):
        request = f"GET http://{HERE}:{port}/ HTTP/1.1\r\nHost: h\r\n{LOGIN}\r\n\r\n".encode()
        asking[1].write(request)
        greeting[1].write(GREETING)
        await asking[0].readuntil(body[900:1000])
        assert await greeting[0].readexactly(4) == b"\5\2\1\0"
        assert (await engine.upgrade())[0].connections == 0
        assert len(pids(directory)) == 2
        go.set()
        assert await asking[0].readexactly(len(body) - 1000) == body[1000:]
        greeting[1].write(b"\5\1\0\1\x7f\0\0\1" + other.to_bytes(2))
        assert (await greeting[0].readexactly(10))[:2] == b"\5\0"
        await one_is_left(directory)
        assert await echoes(greeting)
        asking[1].write(request)
        assert (await head_of(asking[0])).startswith(b"HTTP/1.1 200")
        assert await asking[0].readexactly(len(body)) == body


async def test_what_is_left_behind_goes_on_although_its_successor_is_relieved_too(
    engine: BuiltinEngine, directory: Path
) -> None:
    await engine.start(proxy := record())
    go = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(OK[:-2])
        await go.wait()
        writer.write(OK[-2:])

    async with (
        serving(slowly) as port,
        serving(echo) as other,
        dialled(proxy.port) as greeting,
        AsyncExitStack() as stack,
    ):
        greeting[1].write(GREETING)
        assert await greeting[0].readexactly(4) == b"\5\2\1\0"
        asking: list[Streams] = []
        for _ in range(2):
            asking.append(await stack.enter_async_context(dialled(proxy.port)))
            asking[-1][1].write(f"GET http://{HERE}:{port}/ HTTP/1.1\r\nHost: h\r\n{LOGIN}\r\n\r\n".encode())
            assert await asking[-1][0].readexactly(len(PASSED_ON) - 2) == PASSED_ON[:-2]
            await engine.upgrade()
        assert len(pids(directory)) == 3
        greeting[1].write(b"\5\1\0\1\x7f\0\0\1" + other.to_bytes(2))
        assert (await greeting[0].readexactly(10))[:2] == b"\5\0"
        await until(lambda: has_open(engine, 1))
        assert await echoes(greeting)
        go.set()
        for reader, _ in asking:
            assert await reader.readexactly(2) == OK[-2:]
        await one_is_left(directory)


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "left behind"])
@pytest.mark.parametrize("how", ["changed", "stopped"])
async def test_a_revoked_password_and_a_stop_close_connections_on_either_side_of_a_handover(
    engine: BuiltinEngine, directory: Path, moved: bool, how: str
) -> None:
    await engine.start(proxy := record())

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        await reader.read()

    async with serving(never) as port, AsyncExitStack() as stack:
        if moved:
            reader, _ = await stack.enter_async_context(tunnel(proxy, port))
        else:
            reader, writer = await stack.enter_async_context(dialled(proxy.port))
            writer.write(f"GET http://{HERE}:{port}/ HTTP/1.1\r\nHost: h\r\n{LOGIN}\r\n\r\n".encode())
            await until(lambda: has_sent(engine))
        await engine.upgrade()
        await engine.start(proxy.model_copy(update={"version": 2, "content": 8}))
        if moved:
            await one_is_left(directory)
        assert len(pids(directory)) == 1 + (not moved)
        if how == "changed":
            await engine.start(proxy.model_copy(update={"version": 3, "password": "changed"}))
        else:
            await engine.stop(1)  # type: ignore[arg-type]
        async with asyncio.timeout(1):
            assert await reader.read() == b""
        await one_is_left(directory)


async def has_sent(engine: BuiltinEngine) -> bool:
    return any(counters["received_bytes"] for counters in (await engine.stats()).values())


async def test_an_engine_opened_with_other_code_relieves_the_workers_it_finds(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(echo) as port, AsyncExitStack() as stack:
        async with opened(directory, 2) as engine:
            proxies = records(4)
            for proxy in proxies:
                await engine.start(proxy)
            tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for proxy in proxies]
            before = pids(directory)
        async with opened(directory, 2):
            assert pids(directory) == before
        monkeypatch.setattr("node.engine.builtin.pool.pool.build_id", lambda: "another")

        async def relieved() -> bool:
            return not before & pids(directory)

        async with opened(directory, 2) as engine:
            await until(relieved)
            assert await engine.running() == {1: 1, 2: 1, 3: 1, 4: 1}
            for streams in tunnels:
                assert await echoes(streams)


async def test_a_worker_whose_replacement_failed_is_relieved_later(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(directory, 1) as engine:
        await engine.start(record())
        before = pids(directory)
    real, calls = WorkerPool._replace, list[WorkerHandle]()

    async def replace(pool: WorkerPool, old: WorkerHandle) -> Moved:
        calls.append(old)
        if len(calls) == 1:
            raise EngineError("the host is too busy")
        return await real(pool, old)

    async def relieved() -> bool:
        return not before & pids(directory)

    monkeypatch.setattr("node.engine.builtin.pool.pool.build_id", lambda: "another")
    monkeypatch.setattr("node.engine.builtin.pool.pool._RETRY_S", (0.05,))
    monkeypatch.setattr(WorkerPool, "_replace", replace)
    async with opened(directory, 1) as engine:
        await until(relieved)
        assert await engine.running() == {1: 1}


async def test_a_handover_that_no_agent_saw_the_end_of_is_found_finished_by_the_next(directory: Path) -> None:
    """The agent is gone right after it has brought the two together, or has only started the new one."""
    async with serving(echo) as port, AsyncExitStack() as stack:
        async with opened(directory) as engine:
            await engine.start(proxy := record())
            streams = await stack.enter_async_context(tunnel(proxy, port))
            async with asyncio.TaskGroup() as tasks:
                upgrade = tasks.create_task(engine.upgrade())

                async def both_live() -> bool:
                    return len(pids(directory)) == 2 or upgrade.done()

                await until(both_live)
                upgrade.cancel()
        async with opened(directory) as engine:
            await one_is_left(directory)
            assert await engine.running() == {1: 1}
            assert await echoes(streams)
            await engine.stop(1)  # type: ignore[arg-type]
            assert await engine.running() == {}


@pytest.mark.parametrize("victim", ["old", "new"])
@pytest.mark.parametrize("delay_ms", [0, 6, 12, *(pytest.param(ms, marks=pytest.mark.long) for ms in MOMENTS_MS)])
async def test_whoever_is_killed_during_a_handover_one_worker_has_all_proxies_and_no_stream_is_torn(
    directory: Path, victim: str, delay_ms: int
) -> None:
    proxies = records(30)
    async with opened(directory) as engine, serving(echo) as port, AsyncExitStack() as stack:
        for proxy in proxies:
            await engine.start(proxy)
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for proxy in proxies]
        (old,) = pids(directory)
        async with asyncio.TaskGroup() as tasks:
            upgrade = tasks.create_task(upgraded(engine))
            await begun(directory, upgrade)
            await asyncio.sleep(delay_ms / 1000)
            if not upgrade.done():
                for pid in {old} if victim == "old" else pids(directory) - {old}:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            await upgrade
        await one_is_left(directory)
        await until(lambda: runs(engine, {proxy.id: 1 for proxy in proxies}))
        for proxy, streams in zip(proxies, tunnels, strict=True):
            assert await echoes_or_is_gone(streams)
            async with tunnel(proxy, port) as fresh:
                assert await echoes(fresh)


@pytest.mark.parametrize("starting", [0, 1], ids=["at once", "once there are two"])
async def test_a_worker_that_dies_while_its_successor_starts_costs_no_proxy(directory: Path, starting: int) -> None:
    proxies = records(100)
    async with opened(directory) as engine:
        for proxy in proxies:
            await engine.start(proxy)
        (old,) = pids(directory)
        async with asyncio.TaskGroup() as tasks:
            upgrade = tasks.create_task(upgraded(engine))
            await (begun(directory, upgrade) if starting else asyncio.sleep(0))
            os.kill(old, signal.SIGKILL)
        await one_is_left(directory)
        await until(lambda: runs(engine, {proxy.id: 1 for proxy in proxies}))


async def upgraded(engine: BuiltinEngine) -> None:
    try:
        await engine.upgrade()
    except EngineError:
        return


async def begun(directory: Path, upgrade: asyncio.Task[None]) -> None:
    """Until there are two processes, or the handover is over: all of it takes some ten milliseconds."""
    async with asyncio.timeout(LIMIT_S):
        while not upgrade.done() and len(list(directory.glob("worker-0*.sock"))) < 2:
            await asyncio.sleep(0.001)


async def echoes_or_is_gone(streams: Streams) -> bool:
    try:
        return await echoes(streams)
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        return not getattr(error, "partial", b"")


@pytest.mark.parametrize("delay_ms", [0, 10])
async def test_a_new_process_that_is_stopped_in_a_handover_costs_nothing_once_it_goes_on(
    directory: Path, delay_ms: int
) -> None:
    async with opened(directory) as engine, serving(echo) as port, AsyncExitStack() as stack:
        await engine.start(proxy := record())
        streams = await stack.enter_async_context(tunnel(proxy, port))
        (old,) = pids(directory)
        async with asyncio.TaskGroup() as tasks:
            upgrade = tasks.create_task(upgraded(engine))
            await begun(directory, upgrade)
            (new,) = pids(directory) - {old}
            await asyncio.sleep(delay_ms / 1000)
            os.kill(new, signal.SIGSTOP)
            async with asyncio.timeout(20):
                await upgrade
            with suppress(ProcessLookupError):
                os.kill(new, signal.SIGCONT)
        await until(lambda: runs(engine, {1: 1}))
        await one_is_left(directory)
        assert await echoes(streams)


async def test_a_worker_that_ends_refuses_no_order_but_leaves_it_unanswered(directory: Path) -> None:
    """A refusal is taken for the record's fault; what ends unanswered is put into the next process."""
    for _ in range(4):
        async with opened(directory):
            answers = await answered_at_the_end(directory)
        assert all(message["result"] == [True] for message in answers), answers[-1]


async def answered_at_the_end(directory: Path) -> list[Message]:
    """What a worker says to orders that come while it ends."""
    connection = connect_worker(directory, 0)
    assert connection is not None
    with connection, ExitStack() as listeners:
        connection.send(frame({"id": 0, "op": "halt"}))
        for number, proxy in enumerate(records(60), 1):
            listener = listeners.enter_context(closing(open_listener(HERE, proxy.port)))
            order = {"id": number, "op": "put", "proxies": [{"record": record_fields(proxy), "listens": 1}], "fds": 1}
            with suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(connection, [frame(order)], [listener.fileno()])
        return [message for message in await all_said(connection) if message["id"]]


async def all_said(connection: socket.socket) -> list[Message]:
    frames, said = FrameReader(), list[Message]()
    with suppress(ConnectionResetError):
        while data := await asyncio.get_running_loop().sock_recv(connection, 65536):
            said += frames.feed(data)
    return said


async def test_what_was_stopped_while_its_worker_was_dead_is_not_put_back(directory: Path) -> None:
    async with opened(directory) as engine:
        for proxy in records(3):
            await engine.start(proxy)
        (pid,) = pids(directory)
        os.kill(pid, signal.SIGKILL)
        await engine.stop(2)  # type: ignore[arg-type]
        await until(lambda: runs(engine, {1: 1, 3: 1}))


async def runs(engine: BuiltinEngine, versions: dict[int, int]) -> bool:
    return await engine.running() == versions


async def test_an_adopted_worker_that_dies_comes_back_with_its_proxies(directory: Path) -> None:
    proxies = records(3)
    async with opened(directory) as engine:
        for proxy in proxies:
            await engine.start(proxy)
    async with opened(directory) as engine, serving(echo) as port:
        assert len(await engine.running()) == 3
        (pid,) = pids(directory)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: runs(engine, {1: 1, 2: 1, 3: 1}))
        for proxy in proxies:
            async with tunnel(proxy, port) as streams:
                assert await echoes(streams)
