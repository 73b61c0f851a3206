"""What 3proxy's proxies moved is counted once: over changes, stops and agents that come and go."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from node.engine.interface import Counters
from node.engine.three_proxy import ledger
from node.engine.three_proxy.configuration import LOG_EVERY_BYTES
from node.engine.three_proxy.engine import ThreeProxyEngine
from tests.clients.plain import ALICE, LIMIT_S, PAGE, RefusedError, fetch, tunnel
from tests.clients.streams import HERE, until
from tests.engines.records import record
from tests.engines.three_proxy import opened, processes_of, vanished

MIB = bytes(1024 * 1024)


def moved(told: Sequence[Counters]) -> tuple[int, int]:
    return sum(each.received_bytes for each in told), sum(each.sent_bytes for each in told)


async def connections(engine: ThreeProxyEngine, count: int) -> Sequence[Counters]:
    """Waits until so many have been counted; 3proxy logs a connection when it lets go of it."""

    async def counted() -> bool:
        return sum(each.connections for each in await engine.usage()) == count

    await until(counted)
    return await engine.usage()


@pytest.mark.parametrize(("protocol", "way"), [("http", "connect"), ("http", "absolute"), ("socks5", "socks5")])
async def test_every_connection_is_counted_with_what_it_moved(
    directory: Path, binary: Path, page: int, protocol: str, way: str
) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol=protocol))
        for _ in range(3):
            assert await fetch(proxy, page, way=way) == PAGE
        (counters,) = await connections(engine, 3)
        assert counters.id == 1
        assert counters.sent_bytes > 3 * len(PAGE)
        assert counters.received_bytes > 3 * len("GET / HTTP/1.1")
        assert counters.refused == {}


async def test_a_transfer_is_counted_while_it_goes_on_and_exactly_when_it_is_over(
    directory: Path, binary: Path, echo: int
) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        async with tunnel(proxy, echo) as stream:
            assert await stream.echoes(MIB)
            (so_far,) = await engine.usage()
            assert len(MIB) - 2 * LOG_EVERY_BYTES <= so_far.sent_bytes <= len(MIB)
            assert so_far.connections == 0
        assert moved(await connections(engine, 1)) == (len(MIB), len(MIB))


async def test_refused_clients_are_counted_by_reason(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol="http", allow_ips=("127.0.0.2",)))
        for login in (None, (ALICE[0], "wrong"), ALICE):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, login)

        async def told() -> bool:
            return [each.refused for each in await engine.usage()] == [{"login": 2, "source": 1}]

        await until(told)
        assert [each.connections for each in await engine.usage()] == [0]


async def test_what_a_replaced_or_stopped_proxy_moved_is_told_until_it_is_taken(
    directory: Path, binary: Path, page: int
) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        await fetch(proxy, page)
        await connections(engine, 1)
        await engine.start(proxy.model_copy(update={"version": 2, "password": "changed"}))
        await fetch(proxy, page, (ALICE[0], "changed"))
        first, second = await connections(engine, 2)
        assert first.epoch < second.epoch
        await engine.stop(1)
        assert await engine.usage() == [first, second]
        await engine.taken([first])
        assert await engine.usage() == [second]
        await engine.taken([second])
        assert await engine.usage() == []
        assert list(directory.iterdir()) == []


async def test_what_is_counting_is_told_on_though_it_was_taken(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        await fetch(proxy, page)
        told = await connections(engine, 1)
        await engine.taken(told)
        assert await engine.usage() == told
        await engine.stop(1)
        await engine.taken([Counters(1, told[0].epoch, 0, 0, 0, {})])
        assert await engine.usage() == told


async def test_connections_that_end_while_the_agent_is_away_are_counted_once(
    directory: Path, binary: Path, page: int, echo: int
) -> None:
    async with ThreeProxyEngine(directory, binary=binary, listen=HERE) as first:
        await first.start(proxy := record(1, protocol="http"))
        await fetch(proxy, page)
        before = await connections(first, 1)
    async with tunnel(proxy, echo) as stream:
        assert await stream.echoes(MIB)
    for _ in range(2):
        async with ThreeProxyEngine(directory, binary=binary, listen=HERE) as again:
            after = await connections(again, 2)
    async with opened(directory, binary) as last:
        await last.stop(1)
        assert await last.usage() == after
    assert moved(after) == tuple(bytes_ + len(MIB) for bytes_ in moved(before))
    async with opened(directory, binary) as later:
        assert await later.usage() == after


async def test_what_a_proxy_moved_that_died_while_the_agent_was_away_is_told(
    directory: Path, binary: Path, page: int
) -> None:
    async with ThreeProxyEngine(directory, binary=binary, listen=HERE) as first:
        await first.start(proxy := record(1, protocol="http"))
        await fetch(proxy, page)
        before = await connections(first, 1)
    (pid,) = processes_of(directory)
    os.kill(pid, signal.SIGKILL)
    await vanished(directory)
    async with opened(directory, binary) as again:
        assert await again.usage() == before
        await again.taken(before)
        assert list(directory.iterdir()) == []


async def test_an_emptied_log_is_counted_on(
    directory: Path, binary: Path, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "EMPTIED_AT_BYTES", 1)
    async with ThreeProxyEngine(directory, binary=binary, listen=HERE) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        for count in range(1, 4):
            await fetch(proxy, page)
            told = await connections(engine, count)
            (log,) = directory.glob("*.log")
            assert log.stat().st_size == 0
    async with opened(directory, binary) as again:
        assert await again.usage() == told


async def test_what_nobody_takes_is_kept_within_bounds(
    directory: Path, binary: Path, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MAX_FINISHED", 2)
    async with opened(directory, binary) as engine:
        for id_ in range(1, 5):
            await engine.start(proxy := record(id_, protocol="http"))
            await fetch(proxy, page)
            await connections(engine, min(id_, 3))
            await engine.stop(id_)
        assert [each.id for each in await engine.usage()] == [3, 4]
        assert len(list(directory.iterdir())) == 2


async def test_a_disk_without_room_stops_neither_counting_nor_stopping(
    directory: Path, binary: Path, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        await fetch(proxy, page)
        told = await connections(engine, 1)
        with monkeypatch.context() as disk:
            disk.setattr(ledger, "write_whole", full)
            async with asyncio.timeout(LIMIT_S):
                await engine.stop(1)
            assert await engine.usage() == told
        assert await engine.usage() == told
