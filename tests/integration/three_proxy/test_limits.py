"""What 3proxy holds of limits and exits, and what is refused by name."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from node.engine.interface import EngineError
from node.engine.three_proxy.binary import version
from tests.clients.plain import ALICE, PAGE, RefusedError, Stream, answer_page, fetch, tunnel
from tests.clients.streams import HERE, serving, until
from tests.engines.records import record
from tests.engines.three_proxy import opened, processes_of

BANDWIDTH_BPS = 8_000_000
EVERY_WAY = [("http", "absolute"), ("http", "connect"), ("socks5", "socks5")]


async def is_old(binary: Path) -> bool:
    return (await version(binary)).startswith("0.")


async def answer_flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def bytes_within(stream: Stream, seconds: float) -> int:
    total, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        total += len(await stream.reader.read(65536))
    return total


@pytest.mark.parametrize(("protocol", "way"), [("http", "connect"), ("socks5", "socks5")])
async def test_more_connections_than_allowed_are_refused_and_a_closed_one_makes_room(
    directory: Path, binary: Path, echo: int, protocol: str, way: str
) -> None:
    if await is_old(binary):
        pytest.skip("before 1.0 3proxy miscounts them")
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol=protocol, limits={"connections": 2}))
        async with tunnel(proxy, echo, way=way) as first:
            async with tunnel(proxy, echo, way=way) as second:
                for login in (ALICE, None, ALICE, (ALICE[0], "wrong"), ALICE):
                    with pytest.raises(RefusedError):
                        await fetch(proxy, echo, login, way=way)
                assert await second.echoes()
            assert await first.echoes()

            async def has_room() -> bool:
                try:
                    async with tunnel(proxy, echo, way=way) as another:
                        return await another.echoes()
                except RefusedError:
                    return False

            await until(has_room)


async def test_a_3proxy_that_miscounts_connections_refuses_to_limit_them(directory: Path, binary: Path) -> None:
    if not await is_old(binary):
        pytest.skip("since 1.0 3proxy counts them")
    async with opened(directory, binary) as engine:
        with pytest.raises(EngineError, match=r"3proxy 0\.9.* cannot enforce a limit of connections: use the builtin"):
            await engine.start(record(1, protocol="http", limits={"connections": 2}))
        assert await engine.running() == {}


@pytest.mark.parametrize("count", [1, 4])
async def test_a_bandwidth_is_held_over_all_connections_together(directory: Path, binary: Path, count: int) -> None:
    async with opened(directory, binary) as engine, serving(answer_flood) as port:
        await engine.start(proxy := record(1, protocol="http", limits={"bandwidth_bps": BANDWIDTH_BPS}))

        async def taken() -> int:
            async with tunnel(proxy, port) as stream:
                await bytes_within(stream, 0.5)
                return await bytes_within(stream, 2.0)

        async with asyncio.TaskGroup() as tasks:
            streams = [tasks.create_task(taken()) for _ in range(count)]
        assert sum(stream.result() for stream in streams) * 8 / 2.0 == pytest.approx(BANDWIDTH_BPS, rel=0.15)


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
@pytest.mark.parametrize(("address", "there", "elsewhere"), [("127.0.0.9", HERE, "::1"), ("::1", "::1", HERE)])
async def test_connections_leave_from_the_exit_address_or_not_at_all(
    directory: Path, binary: Path, protocol: str, way: str, address: str, there: str, elsewhere: str
) -> None:
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])
        await answer_page(reader, writer)

    def named(host: str) -> str:
        return f"[{host}]" if ":" in host and way != "socks5" else host

    exit_ = {"mode": "address", "address": address}
    async with opened(directory, binary) as engine, serving(answer, there) as near, serving(answer, elsewhere) as far:
        await engine.start(proxy := record(1, protocol=protocol, exit=exit_))
        assert await fetch(proxy, near, way=way, host=named(there)) == PAGE
        with pytest.raises(RefusedError):
            await fetch(proxy, far, way=way, host=named(elsewhere))
    assert seen == [address]


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
async def test_an_exit_that_is_no_address_of_this_host_is_an_error_that_names_it(
    directory: Path, binary: Path, address: str
) -> None:
    async with opened(directory, binary) as engine:
        with pytest.raises(EngineError, match=f"the exit {address} is not an address of this host"):
            await engine.start(record(1, protocol="http", exit={"mode": "address", "address": address}))
        assert list(directory.iterdir()) == []


async def test_a_refused_change_leaves_the_version_before_it_running(directory: Path, binary: Path, page: int) -> None:
    refused: dict[str, Any] = {"version": 2, "limits": {"traffic_bytes": 10**9}}
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        before = processes_of(directory)
        with pytest.raises(EngineError, match="3proxy cannot enforce a traffic limit"):
            await engine.start(record(1, protocol="http", port=proxy.port, **refused))
        assert await engine.running() == {1: 1}
        assert processes_of(directory) == before
        assert await fetch(proxy, page) == PAGE
