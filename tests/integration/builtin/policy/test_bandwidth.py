"""How fast a proxy of the built-in engine may be."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.http_requests import get
from tests.clients.streams import dialled, head_of, record, serving, tunnel
from tests.engines.limited import BUFFER, MEGABYTE, flood, limited, pour, taken_in
from tests.engines.workers import worker_pid


@pytest.mark.parametrize("connections", [1, 16])
@pytest.mark.parametrize("seconds", [3, pytest.param(10, marks=pytest.mark.long)])
async def test_a_megabyte_a_second_is_held_in_both_directions_and_shared_fairly(
    engine: BuiltinEngine, directory: Path, connections: int, seconds: int
) -> None:
    await engine.start(proxy := record(limits={"bandwidth_bps": 8 * MEGABYTE}))
    async with serving(flood) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(connections)]
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
        for _, writer in tunnels:
            writer.transport.abort()  # what was written would still take its time
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
        writer.write(get(port).encode())
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
    pid = worker_pid(directory)
    async with serving(flood) as port, AsyncExitStack() as stack:
        tunnels = [await stack.enter_async_context(tunnel(proxy, port)) for _ in range(20)]
        await asyncio.sleep(0.5)
        before = cpu_ticks(pid)
        async with asyncio.TaskGroup() as tasks:
            takers = [tasks.create_task(taken_in(reader, 2)) for reader, _ in tunnels]
        assert cpu_ticks(pid) - before <= 6
        assert sum(taker.result() for taker in takers) < 10_000
