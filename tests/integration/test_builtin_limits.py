"""What a proxy of the built-in engine may be used for at most, and what it counted, with real workers and sockets."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.engine import Condition, EngineError
from node.engine.builtin import BuiltinEngine
from node.engine.builtin.control import peer
from node.engine.builtin.process import connect_worker
from shared.proxies import ProxyRecord
from tests.streams import (
    HERE,
    LIMIT_S,
    LOCAL,
    LOGIN,
    Streams,
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

BUFFER = 262_144
MEGABYTE = 1_000_000
SOCKS_LOGIN = b"\5\1\2\1\5alice\6wonder"


def opened(directory: Path, *, workers: int = 1) -> BuiltinEngine:
    return BuiltinEngine(directory, listen=HERE, workers=workers, allow_destinations=LOCAL)


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[BuiltinEngine]:
    async with opened(directory) as engine:
        yield engine


def kill_worker(directory: Path, index: int = 0) -> int:
    """Its pid."""
    connection = connect_worker(directory, index)
    assert connection is not None
    with connection:
        pid = peer(connection)[0]
    os.kill(pid, signal.SIGKILL)
    return pid


def limited(proxy: ProxyRecord, **limits: Any) -> ProxyRecord:
    """The next version of it."""
    told = proxy.model_dump() | {"version": proxy.version + 1, "limits": limits}
    return ProxyRecord.model_validate(told)


def get(port: int, path: str = "/") -> bytes:
    return f"GET http://{HERE}:{port}{path} HTTP/1.1\r\nHost: {HERE}:{port}\r\n{LOGIN}\r\n\r\n".encode()


async def answer_to_connect(proxy: ProxyRecord, port: int) -> bytes:
    async with dialled(proxy.port) as (reader, writer):
        writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        writer.write_eof()
        return await reader.read()


async def is_closed(streams: Streams) -> bool:
    """Within a second."""
    with suppress(ConnectionError):
        async with asyncio.timeout(1):
            while await streams[0].read(BUFFER):
                pass
    return True


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends for as long as somebody takes it, and takes what comes."""

    async def drink() -> None:
        with suppress(ConnectionError):
            while await reader.read(BUFFER):
                pass

    async with asyncio.TaskGroup() as tasks:
        drinking = tasks.create_task(drink())
        with suppress(ConnectionError):
            while not drinking.done():
                writer.write(bytes(65536))
                await writer.drain()
        drinking.cancel()


async def taken_in(reader: asyncio.StreamReader, seconds: float) -> int:
    """Bytes that came within that time, or until the end."""
    count = 0
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            while data := await reader.read(BUFFER):
                count += len(data)
    return count


async def counted(engine: BuiltinEngine, id_: int) -> tuple[int, int, int]:
    """(received, sent, connections), all lives together."""
    lives = [each for each in await engine.usage() if each.id == id_]
    return (
        sum(each.received_bytes for each in lives),
        sum(each.sent_bytes for each in lives),
        sum(each.connections for each in lives),
    )


async def refusals(engine: BuiltinEngine, id_: int) -> dict[str, int]:
    return {reason: n for each in await engine.usage() if each.id == id_ for reason, n in each.refused.items()}


# Connections


async def test_one_connection_too_many_is_refused_until_another_ends(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"connections": 2}))
    async with serving(echo) as port, tunnel(proxy, port) as first:
        async with tunnel(proxy, port) as second:
            answer = await answer_to_connect(proxy, port)
            assert answer.startswith(b"HTTP/1.1 429")
            assert b"all 2 connections of this proxy are in use" in answer
            async with dialled(proxy.port) as (reader, writer):
                request = SOCKS_LOGIN + b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2)
                assert (await said(reader, writer, request))[4:6] == b"\5\2"
            assert await echoes(first)
            assert await echoes(second)

        async def there_is_room() -> bool:
            return (await answer_to_connect(proxy, port)).startswith(b"HTTP/1.1 200")

        await until(there_is_room)
        assert await echoes(first, b"all the while")

    async def told() -> bool:
        return (await refusals(engine, proxy.id)).get("limit", 0) >= 2

    await until(told)


async def test_who_has_no_password_takes_no_seat(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"connections": 1}))
    async with serving(echo) as port, AsyncExitStack() as strangers:
        for _ in range(5):
            _, writer = await strangers.enter_async_context(dialled(proxy.port))
            writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n\r\n".encode())
        async with tunnel(proxy, port) as streams:
            assert await echoes(streams)


async def test_a_lowered_limit_ends_no_connection_and_lets_none_in(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"connections": 3}))
    async with serving(echo) as port, tunnel(proxy, port) as first, tunnel(proxy, port) as second:
        await engine.start(limited(proxy, connections=1))
        assert (await answer_to_connect(proxy, port)).startswith(b"HTTP/1.1 429")
        assert await echoes(first)
        assert await echoes(second)


# Bandwidth


@pytest.mark.parametrize("connections", [1, 16])
@pytest.mark.parametrize("seconds", [3, pytest.param(10, marks=pytest.mark.long)])
async def test_a_megabyte_a_second_is_held_in_both_directions_and_shared_fairly(
    engine: BuiltinEngine, directory: Path, connections: int, seconds: int
) -> None:
    await engine.start(proxy := record(limits={"bandwidth_bps": 8 * MEGABYTE}))
    async with serving(flood) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(connections)]

        async def pour(writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while True:
                    writer.write(bytes(65536))
                    await writer.drain()

        shares = dict.fromkeys(range(connections), 0)

        async def take(number: int, reader: asyncio.StreamReader) -> None:
            while data := await reader.read(BUFFER):
                shares[number] += len(data)

        async with asyncio.TaskGroup() as tasks:
            moving = [tasks.create_task(pour(writer)) for _, writer in tunnels]
            moving += [tasks.create_task(take(number, reader)) for number, (reader, _) in enumerate(tunnels)]
            await asyncio.sleep(0.5)  # what was saved up is gone
            before, came, began = await moved(engine, proxy), dict(shares), time.monotonic()
            await asyncio.sleep(seconds)
            after, took = await moved(engine, proxy), time.monotonic() - began
            for task in moving:
                task.cancel()
    rates = [(late - early) / took for early, late in zip(before, after, strict=True)]
    assert rates == [pytest.approx(MEGABYTE, rel=0.05)] * 2
    got = [shares[number] - came[number] for number in shares]
    assert sum(got) / took == pytest.approx(MEGABYTE, rel=0.05)
    assert max(got) < 2 * min(got)


async def moved(engine: BuiltinEngine, proxy: ProxyRecord) -> tuple[int, int]:
    """Up and down, as of now."""
    stats = (await engine.stats())[proxy.id]
    return stats["received_bytes"], stats["sent_bytes"]


async def test_http_bodies_are_held_to_the_bandwidth_too(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"bandwidth_bps": 8 * MEGABYTE}))

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2 * MEGABYTE))
        await writer.drain()

    async with serving(page) as port, dialled(proxy.port) as (reader, writer):
        began = time.monotonic()
        writer.write(get(port))
        await head_of(reader)
        await reader.readexactly(2 * MEGABYTE)
        assert time.monotonic() - began == pytest.approx(1.8, rel=0.15)


async def test_a_change_of_bandwidth_holds_at_once_for_open_connections(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"bandwidth_bps": 80_000}))
    async with serving(flood) as port, tunnel(proxy, port) as (reader, _):
        assert await taken_in(reader, 0.5) < 30_000
        await engine.start(faster := limited(proxy, bandwidth_bps=8 * MEGABYTE))
        assert await taken_in(reader, 1.0) == pytest.approx(MEGABYTE, rel=0.25)
        await engine.start(limited(faster))
        assert await taken_in(reader, 1.0) > 20 * MEGABYTE


async def test_a_handover_gives_no_bandwidth_away(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"bandwidth_bps": 800_000}))
    async with serving(flood) as port, tunnel(proxy, port) as (reader, _):
        await taken_in(reader, 0.5)
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(taken_in(reader, 3.0))
            while not taking.done():
                await engine.upgrade()
        assert taking.result() == pytest.approx(300_000, rel=0.1)


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_waiting_for_bandwidth_costs_next_to_no_time(engine: BuiltinEngine, directory: Path) -> None:
    await engine.start(proxy := record(limits={"bandwidth_bps": 8_000}))
    connection = connect_worker(directory, 0)
    assert connection is not None
    with connection:
        pid = peer(connection)[0]
    async with serving(flood) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(20)]
        await asyncio.sleep(0.5)
        before = cpu_ticks(pid)
        async with asyncio.TaskGroup() as tasks:
            takers = [tasks.create_task(taken_in(reader, 2)) for reader, _ in tunnels]
        assert cpu_ticks(pid) - before <= 6
        assert sum(taker.result() for taker in takers) < 10_000


# Traffic


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
async def test_traffic_is_overrun_by_at_most_a_buffer_for_each_connection(
    engine: BuiltinEngine, connections: int
) -> None:
    most = 20 * MEGABYTE
    await engine.start(proxy := record(limits={"traffic_bytes": most}))
    async with serving(flood) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(connections)]
        async with asyncio.TaskGroup() as tasks:
            takers = [tasks.create_task(taken_in(reader, 10)) for reader, _ in tunnels]
        assert sum(taker.result() for taker in takers) <= most + connections * BUFFER
    stats = (await engine.stats())[proxy.id]
    assert most <= stats["received_bytes"] + stats["sent_bytes"] <= most + connections * BUFFER


async def test_small_requests_are_counted_until_the_traffic_is_used_up(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"traffic_bytes": 20_000}))

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))

    async with serving(page) as port, dialled(proxy.port) as (reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(get(port))
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


async def until_reborn(engine: BuiltinEngine, directory: Path, proxy: ProxyRecord, killed: int) -> None:
    """In another process: the engine puts it back, and after several deaths in a row its agent does."""

    async def reborn() -> bool:
        connection = connect_worker(directory, 0)
        if connection is None:
            return False
        with connection:
            if peer(connection)[0] == killed:
                return False
        if proxy.id not in await engine.running():
            with suppress(EngineError):
                await engine.start(proxy)
        return proxy.id in await engine.running()

    await until(reborn)


# Time


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


# Counters


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
    pace = 2 * MEGABYTE
    moved = 0

    async def look(engine: BuiltinEngine) -> None:
        for each in await engine.usage():
            assert each.sent_bytes >= highest.get(each.epoch, 0)
            highest[each.epoch] = each.sent_bytes

    async with opened(directory) as engine, serving(flood) as port:
        proxy = record(limits={"bandwidth_bps": pace * 8})
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
            assert moved - kills * pace * 1.5 <= sum(highest.values()) <= moved + BUFFER * kills
        assert sum(highest.values()) <= moved + BUFFER * kills
        assert len(highest) >= 1
