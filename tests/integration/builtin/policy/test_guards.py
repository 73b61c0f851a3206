"""What a proxy of the built-in engine does not do for anybody, shown with real workers and sockets."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import worker_pid
from tests.clients.streams import (
    HERE,
    LOCAL,
    LOGIN,
    dialled,
    echo,
    echoes,
    head_of,
    record,
    said,
    serving,
    tunnel,
    until,
)

SOCKS_LOGIN = b"\5\1\2\1\5alice\6wonder"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    """Nothing is opened."""
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1) as opened:
        yield opened
        await opened.halt()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "2130706433", "[::1]", "[::ffff:7f00:1]"]
)
async def test_the_node_itself_is_no_destination_however_it_is_named(engine: BuiltinEngine, host: str) -> None:
    """Names are judged by what they resolve to: `localhost` stands for any name that points here."""
    await engine.start(proxy := record())
    async with serving(echo) as port, dialled(proxy.port) as (reader, writer):
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        assert (await head_of(reader)).startswith(b"HTTP/1.1 403")


async def test_socks_says_that_the_destination_is_not_allowed(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with dialled(proxy.port) as (reader, writer):
        answer = await said(reader, writer, SOCKS_LOGIN + b"\5\1\0\1\x7f\0\0\1\0\x50")
    assert answer[4:6] == b"\5\2"


async def test_a_guard_that_is_told_anew_holds_for_the_next_connection(tmp_path: Path) -> None:
    """An agent that restarts with another setting finds a worker with the old one."""
    proxy = record()
    async with serving(echo) as port:
        request = f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode()
        for opened, status in ((("127.0.0.1",), b"200"), ((), b"403")):
            async with BuiltinEngine(tmp_path, listen=HERE, workers=1, allow_destinations=opened) as engine:
                await engine.start(proxy)
                async with dialled(proxy.port) as (reader, writer):
                    writer.write(request)
                    assert (await head_of(reader)).split()[1] == status
        await engine.halt()


@pytest.mark.parametrize("tell", [BuiltinEngine.protect, BuiltinEngine.reached_at])
async def test_a_protected_destination_is_refused_by_every_worker_and_stays_so_for_the_next_agent(
    tmp_path: Path, tell: Callable[[BuiltinEngine, list[str]], Awaitable[None]]
) -> None:
    """Addresses of 2001:20::/28 (RFC 7343) are public and never routed: only a guard says 403."""
    proxy = record()

    async def status(host: str) -> bytes:
        async with dialled(proxy.port) as (reader, writer):
            writer.write(f"CONNECT {host}:5672 HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
            return (await head_of(reader)).split()[1]

    async with opened(tmp_path, leave=True) as engine:
        await engine.start(proxy)
        assert await status("[2001:20::9]") == b"502"
        await tell(engine, ["2001:20::9"])
        assert await status("[2001:20::9]") == b"403"
    async with opened(tmp_path):
        assert await status("[2001:20::9]") == b"403"


async def test_one_source_may_not_take_all_connections_and_gets_them_back(tmp_path: Path) -> None:
    async with opened(tmp_path, connections_per_source=3) as engine:
        await engine.start(proxy := record())
        async with serving(echo) as port, AsyncExitStack() as silent:
            async with tunnel(proxy, port) as streams:
                for _ in range(2):
                    await silent.enter_async_context(dialled(proxy.port))
                async with dialled(proxy.port) as (reader, _):
                    assert await reader.read() == b""
                assert await echoes(streams)

            async def welcome() -> bool:
                with suppress(asyncio.IncompleteReadError, ConnectionError):
                    async with tunnel(proxy, port) as again:
                        return await echoes(again)
                return False

            await until(welcome)

            async def told() -> bool:
                return any(each.refused.get("flood") for each in await engine.usage())

            await until(told)


async def test_a_worker_out_of_descriptors_says_so_and_serves_on(tmp_path: Path) -> None:
    """Every connection to a destination needs one; those that are open keep theirs."""
    async with opened(tmp_path) as engine:
        await engine.start(proxy := record())
        pid = pid_of_worker(tmp_path)
        async with serving(echo) as port, AsyncExitStack() as stack:
            tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(8)]
            # By now the worker has closed what it read when it started.
            most = len(os.listdir(f"/proc/{pid}/fd")) + 5
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
            answers: list[bytes] = []
            waiting = [await stack.enter_async_context(dialled(proxy.port)) for _ in range(4)]
            for _, writer in waiting:
                writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
            for reader, _ in waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        answers.append((await head_of(reader)).split()[1])
            assert b"503" in answers
            assert all([await echoes(streams) for streams in tunnels])
        async with serving(echo) as port, tunnel(proxy, port) as again:
            assert await echoes(again)

        async def told() -> bool:
            return any(each.refused.get("resources") for each in await engine.usage())

        await until(told)
        assert "connect.exhausted" in (tmp_path / "worker-0.log").read_text()
        assert pid_of_worker(tmp_path) == pid


@asynccontextmanager
async def opened(directory: Path, *, leave: bool = False, **more: Any) -> AsyncIterator[BuiltinEngine]:
    async with BuiltinEngine(directory, listen=HERE, workers=1, allow_destinations=LOCAL, **more) as engine:
        try:
            yield engine
        finally:
            if not leave:
                await engine.halt()


def pid_of_worker(directory: Path) -> int:
    """Without a connection to it, which would count among its descriptors for a moment."""
    pid = worker_pid(directory, 0)
    assert pid is not None
    return pid
