"""What a proxy of the built-in engine counted."""

import asyncio
import random
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.streams import HERE, LIMIT_S, LOGIN, dialled, echo, echoes, record, said, serving, tunnel, until
from tests.engines.limited import (
    BUFFER,
    MEGABYTE,
    counted,
    flood,
    kill_worker,
    opened,
    refusals,
    taken_in,
    until_reborn,
)


async def test_counters_say_what_moved_and_why_somebody_was_refused(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port:
        async with tunnel(proxy, port) as streams:
            assert await echoes(streams, bytes(100_000))
        async with dialled(proxy.port) as (reader, writer):
            await said(reader, writer, f"CONNECT {HERE}:{port} HTTP/1.1\r\nConnection: close\r\n\r\n")
        async with dialled(proxy.port) as (reader, writer):
            await said(reader, writer, f"CONNECT 10.1.2.3:{port} HTTP/1.1\r\n{LOGIN}\r\nConnection: close\r\n\r\n")

    async def told() -> bool:
        return await counted(engine, proxy.id) == (100_000, 100_000, 3)

    await until(told)
    assert await refusals(engine, proxy.id) == {"login": 1, "destination": 1}


async def test_connections_that_are_open_now_are_counted(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port:
        async with tunnel(proxy, port), tunnel(proxy, port):
            assert await engine.connections() == {proxy.id: 2}

        async def closed() -> bool:
            return await engine.connections() == {}

        await until(closed)


async def test_a_removed_proxy_is_told_until_it_is_taken(directory: Path) -> None:
    async with opened(directory) as engine, serving(echo) as port:
        await engine.start(proxy := record())
        async with tunnel(proxy, port) as streams:
            assert await echoes(streams)
        await engine.stop(proxy.id)
        told = await engine.usage()
        assert [(each.id, each.received_bytes, each.sent_bytes, each.connections) for each in told] == [(1, 10, 10, 1)]
    async with opened(directory) as engine:
        assert await engine.usage() == told
        await engine.taken(told)
        assert await engine.usage() == []
        await engine.start(proxy)
        await until_reborn(engine, directory, proxy, kill_worker(directory))
        assert await engine.usage() == []


async def test_a_life_that_goes_on_is_told_again_though_it_was_taken(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(echo) as port, tunnel(proxy, port) as streams:
        for total in (10, 20):
            assert await echoes(streams)

            async def told(total: int = total) -> bool:
                return await counted(engine, proxy.id) == (total, total, 1)

            await until(told)
            await engine.taken(await engine.usage())
            assert await told()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
async def test_a_killed_worker_loses_at_most_a_second_of_counting_and_counts_nothing_twice(
    directory: Path, kills: int
) -> None:
    """What the master would have: the highest of each life, told at any moment."""
    dice = random.Random(kills)
    highest: dict[int, int] = {}
    rate_limit = 2 * MEGABYTE
    moved = 0

    async def look(engine: BuiltinEngine) -> None:
        for each in await engine.usage():
            assert each.sent_bytes >= highest.get(each.epoch, 0)
            highest[each.epoch] = each.sent_bytes

    async with opened(directory) as engine, serving(flood) as port:
        proxy = record(limits={"bandwidth_bps": rate_limit * 8})
        await engine.start(proxy)
        for _ in range(kills):
            async with tunnel(proxy, port) as (reader, _):
                async with asyncio.TaskGroup() as tasks:
                    taking = tasks.create_task(taken_in(reader, LIMIT_S))
                    await asyncio.sleep(dice.uniform(0.5, 2.5))
                    await look(engine)
                    killed = kill_worker(directory)
                moved += taking.result()
            await until_reborn(engine, directory, proxy, killed)
            await look(engine)
            assert moved - kills * rate_limit * 1.5 <= sum(highest.values()) <= moved + BUFFER * kills
        assert sum(highest.values()) <= moved + BUFFER * kills
        assert len(highest) >= 1
