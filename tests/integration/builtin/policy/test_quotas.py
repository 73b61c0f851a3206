"""How much a proxy of the built-in engine may carry, and until when."""

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.net.pipe_pool import PIPE
from node.engine.interface import Condition
from shared.proxies import ProxyRecord
from tests.clients.http_requests import get
from tests.clients.streams import dialled, echo, echoes, head_of, record, serving, tunnel
from tests.engines.limited import (
    BUFFER,
    MEGABYTE,
    answer_to_connect,
    flood,
    is_closed,
    kill_worker,
    limited,
    opened,
    taken_in,
    until_reborn,
)


async def test_spent_traffic_closes_exactly_this_proxy_and_a_raised_limit_revives_it(engine: BuiltinEngine) -> None:
    most = 3 * MEGABYTE
    await engine.start(proxy := record(limits={"traffic_bytes": most}))
    await engine.start(other := record(2))
    async with serving(flood) as port, serving(echo) as quiet, tunnel(other, quiet) as unconcerned:
        async with tunnel(proxy, quiet) as idle, tunnel(proxy, port) as (reader, _):
            assert most - BUFFER <= await taken_in(reader, 5) <= most + BUFFER
            assert await is_closed(idle)
        answer = await answer_to_connect(proxy, quiet)
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"the traffic of this proxy is used up: 3000000 bytes" in answer
        assert await engine.conditions() == {
            proxy.id: Condition("limited", "the traffic of this proxy is used up: 3000000 bytes")
        }
        assert proxy.id in await engine.running()
        await engine.start(limited(proxy, traffic_bytes=2 * most))
        assert await engine.conditions() == {}
        async with tunnel(proxy, quiet) as streams:
            assert await echoes(streams)
        assert await echoes(unconcerned)


@pytest.mark.parametrize("connections", [4])
async def test_traffic_is_overrun_by_at_most_a_pipe_for_each_connection(
    engine: BuiltinEngine, connections: int
) -> None:
    """Bytes count once the client's kernel has taken them; until then they are in a pipe, which may be full."""
    most = 20 * MEGABYTE
    await engine.start(proxy := record(limits={"traffic_bytes": most}))
    async with serving(flood) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(connections)]
        async with asyncio.TaskGroup() as tasks:
            takers = [tasks.create_task(taken_in(reader, 10)) for reader, _ in tunnels]
        assert sum(taker.result() for taker in takers) <= most + connections * PIPE
    stats = (await engine.stats())[proxy.id]
    assert most <= stats["received_bytes"] + stats["sent_bytes"] <= most + connections * PIPE


async def test_small_requests_are_counted_until_the_traffic_is_used_up(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"traffic_bytes": 20_000}))

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))

    async with serving(page) as port, dialled(proxy.port) as (reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(get(port).encode())
                await head_of(reader)
                await reader.readexactly(1000)
        assert (await answer_to_connect(proxy, port)).startswith(b"HTTP/1.1 429")


async def test_spent_traffic_stays_spent_whatever_dies(directory: Path) -> None:
    """The agent, the worker, both; the proxy taken away and put back; another number of workers."""
    proxy = record(limits={"traffic_bytes": MEGABYTE, "traffic_period": "month"})
    async with serving(flood) as port:
        async with opened(directory) as engine:
            await engine.start(proxy)
            async with tunnel(proxy, port) as (reader, _):
                await taken_in(reader, 5)
            await asyncio.sleep(1.2)  # one interval of writing
        async with opened(directory) as engine:
            assert proxy.id in await engine.conditions()
            await engine.stop(proxy.id)
            await engine.start(proxy)
            assert proxy.id in await engine.conditions()
            await until_reborn(engine, directory, proxy, kill_worker(directory))
            assert proxy.id in await engine.conditions()
            await engine.halt()
        async with opened(directory, workers=3) as engine:
            await engine.start(record(8))
            await engine.start(proxy)
            assert proxy.id in await engine.conditions()


@pytest.mark.parametrize("way", ["born", "changed"])
async def test_within_a_second_of_its_time_a_proxy_closes_and_a_later_time_revives_it(
    engine: BuiltinEngine, way: str
) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1.5)
    proxy = record(limits={"expires_at": ends if way == "born" else None})
    await engine.start(proxy)
    await engine.start(other := record(2))
    async with serving(echo) as port, tunnel(proxy, port) as streams, tunnel(other, port) as unconcerned:
        if way == "changed":
            await engine.start(limited(proxy, expires_at=ends))
        assert await echoes(streams)
        async with asyncio.timeout_at(
            asyncio.get_running_loop().time() + (ends - datetime.now(UTC)).total_seconds() + 1
        ):
            assert await streams[0].read() == b""
        assert datetime.now(UTC) >= ends
        assert (await answer_to_connect(proxy, port)).startswith(b"HTTP/1.1 403")
        assert (await engine.conditions())[proxy.id].kind == "expired"
        later = ProxyRecord.model_validate(
            limited(proxy, expires_at=ends + timedelta(hours=1)).model_dump() | {"version": 9}
        )
        await engine.start(later)
        async with tunnel(proxy, port) as again:
            assert await echoes(again)
        assert await echoes(unconcerned)
