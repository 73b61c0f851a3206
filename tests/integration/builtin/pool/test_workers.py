"""Workers of the built-in engine: found again, killed, stopped, and halted."""

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.interface import EngineError
from shared.proxies import ProxyRecord
from shared.tasks import for_each
from tests.clients.streams import (
    HERE,
    LIMIT_S,
    LOCAL,
    LOGIN,
    dialled,
    echo,
    echoes,
    free_port,
    head_of,
    record,
    said,
    serving,
    tunnel,
    until,
)
from tests.engines.workers import worker_pid
from tests.services.processes import is_running


async def test_the_engine_opened_again_finds_its_worker_while_a_connection_streams(directory: Path) -> None:
    done, total, block = asyncio.Event(), 0, random.randbytes(1 << 16)
    async with serving(echo) as port, AsyncExitStack() as stack:
        async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as first:
            await first.start(proxy := record())
            pid = worker_pid(directory)
            streams = await stack.enter_async_context(tunnel(proxy, port))

            async def stream() -> int:
                count = 0
                while not done.is_set():
                    assert await echoes(streams, block)
                    count += 1
                return count

            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            flow = tasks.create_task(stream())
            assert await echoes(await stack.enter_async_context(tunnel(proxy, port)))
        async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as second:
            assert await second.running() == {1: 1}
            assert worker_pid(directory) == pid
            done.set()
            total = await flow
    assert total > 0


async def test_a_killed_worker_comes_back_with_its_proxies_by_itself(directory: Path) -> None:
    told = asyncio.Event()
    async with (
        BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=2, on_change=told.set) as engine,
        serving(echo) as port,
    ):
        proxies = [record(id_) for id_ in range(1, 5)]
        for proxy in proxies:
            await engine.start(proxy)
        async with tunnel(proxies[1], port) as untouched:
            told.clear()
            os.kill(worker_pid(directory), signal.SIGKILL)
            async with asyncio.timeout(LIMIT_S):
                await told.wait()
            assert await engine.running() == {1: 1, 2: 1, 3: 1, 4: 1}
            for proxy in proxies:
                async with tunnel(proxy, port) as streams:
                    assert await echoes(streams)
            assert await echoes(untouched)


async def test_clients_of_a_killed_worker_are_served_again_soon(directory: Path) -> None:
    """The promise is 200 ms for 1,000 proxies (tests/bench/engines measures it); a busy machine gets more."""
    ports = set[int]()
    while len(ports) < 300:
        ports.add(free_port())
    async with BuiltinEngine(directory, listen=HERE, workers=1) as engine:
        proxies = [record(id_, port=port) for id_, port in enumerate(sorted(ports), start=1)]
        await for_each(proxies, engine.start, at_once=engine.at_once)
        os.kill(worker_pid(directory), signal.SIGKILL)
        async with asyncio.timeout(3.0):
            for proxy in proxies:
                while not await answers(proxy):
                    await asyncio.sleep(0.005)


async def answers(proxy: ProxyRecord) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HERE, proxy.port)
        writer.write(b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n")
        status = await reader.read(16)
    except ConnectionError:
        return False
    writer.close()
    return status.startswith(b"HTTP/1.1 4")


async def test_a_worker_that_is_stopped_holds_up_nothing_and_recovers(directory: Path) -> None:
    told = asyncio.Event()
    async with (
        BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=2, on_change=told.set) as engine,
        serving(echo) as port,
    ):
        first, second = record(1), record(2)
        await engine.start(first)
        await engine.start(second)
        pid = worker_pid(directory)
        async with tunnel(first, port) as stuck, tunnel(second, port) as free:
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(EngineError, match=rf"worker 0 \(pid {pid}\).* does not answer"):
                await engine.start(first.model_copy(update={"version": 2}))
            async with asyncio.timeout(0.5):
                assert await engine.running() == {2: 1}
                await engine.start(third := record(3))
                with pytest.raises(EngineError, match="does not answer"):
                    await engine.stop(1)
            assert await echoes(free)
            told.clear()
            os.kill(pid, signal.SIGCONT)
            async with asyncio.timeout(LIMIT_S):
                await told.wait()
            await engine.start(first.model_copy(update={"version": 2}))
            assert await engine.running() == {1: 2, 2: 1, 3: 1}
            assert await echoes(stuck)
        assert third.port != second.port


async def test_a_worker_that_answers_again_gives_up_what_was_started_elsewhere_meanwhile(directory: Path) -> None:
    told = asyncio.Event()
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        await engine.start(before := record(1))
    pid = worker_pid(directory)
    os.kill(pid, signal.SIGSTOP)
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=2, on_change=told.set) as engine:
        with pytest.raises(EngineError, match=f"port {before.port} is taken .* perhaps by worker 0"):
            await engine.start(before)
        await engine.start(after := record(1, version=2))
        assert await engine.running() == {1: 2}
        told.clear()
        os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(LIMIT_S):
            await told.wait()
        assert await engine.running() == {1: 2}
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HERE, before.port)
        async with dialled(after.port):
            pass


async def test_a_directory_with_a_very_long_name_will_do(tmp_path: Path) -> None:
    async with BuiltinEngine(tmp_path / ("x" * 120), listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        try:
            await engine.start(record())
            assert await engine.running() == {1: 1}
        finally:
            await engine.halt()


async def test_halting_ends_even_a_stopped_worker(directory: Path) -> None:
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        await engine.start(record())
        pid = worker_pid(directory)
        os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(LIMIT_S):
        await BuiltinEngine(directory).halt()

    async def gone() -> bool:
        return not is_running(pid)

    await until(gone)


async def test_proxies_are_spread_over_the_workers(directory: Path) -> None:
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=2) as engine:
        async with asyncio.TaskGroup() as tasks:
            for id_ in range(1, 41):
                tasks.create_task(engine.start(record(id_, port=30000 + id_)))
        assert len(await engine.running()) == 40
        assert [len(worker.ports) for worker in engine._pool.workers] == [20, 20]


async def test_no_secret_is_in_a_log_or_a_command_line(engine: BuiltinEngine, directory: Path) -> None:
    await engine.start(proxy := record())
    async with dialled(proxy.port) as (reader, writer):
        await said(reader, writer, "GET http://h/ HTTP/1.1\r\nContent-Length: wonder\r\n\r\n")
    pid = worker_pid(directory)
    told = b"".join(path.read_bytes() for path in [*directory.glob("*.log"), Path(f"/proc/{pid}/cmdline")])
    assert b"worker.started" in told
    assert b"wonder" not in told
    assert {path.stat().st_mode & 0o077 for path in [directory, *directory.iterdir()]} == {0}


async def test_out_of_descriptors_a_proxy_waits_and_goes_on(engine: BuiltinEngine, directory: Path) -> None:
    import resource

    await engine.start(proxy := record())
    pid = worker_pid(directory)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    async with serving(echo) as port, AsyncExitStack() as stack:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, before[1]))
        crowd = [await stack.enter_async_context(dialled(proxy.port)) for _ in range(6)]
        await until(lambda: paused(engine))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for streams in crowd:
            streams[1].write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
            assert (await head_of(streams[0])).startswith(b"HTTP/1.1 200")


async def paused(engine: BuiltinEngine) -> bool:
    return any(counters["paused"] for counters in (await engine.stats()).values())
