"""Exits of the built-in engine: each connection leaves by the address that it shall."""

import asyncio
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.interface import EngineError
from tests.clients.datagrams import association, datagrams, headed
from tests.clients.streams import LOCAL
from tests.engines.exits import (
    LOGIN,
    PORT,
    PREFIX,
    RANDOM,
    V4_EXIT,
    V6_EXIT,
    asked,
    connections,
    decoded,
    http,
    page,
    pages,
    record,
    seen,
    telling,
)


async def test_connections_leave_by_the_fixed_address_and_only_to_its_family(engine: BuiltinEngine) -> None:
    await engine.start(four := record({"mode": "address", "address": V4_EXIT}, 1))
    await engine.start(six := record({"mode": "address", "address": V6_EXIT}, 2))
    async with telling() as port:
        assert await seen(four, port, host="127.0.0.1") == V4_EXIT
        assert await seen(six, port) == V6_EXIT
        assert await seen(four, port) == "code 4"
        assert await seen(six, port, host="127.0.0.1") == "code 4"
        assert await seen(four, port, host="localhost") == V4_EXIT


async def test_a_fixed_address_that_this_host_does_not_have_is_a_failure_that_says_so(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record({"mode": "address", "address": "203.0.113.9"}))
    async with telling() as port:
        assert await seen(proxy, port, host="127.0.0.1") == "code 1"
        said = await http(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"exit address" in said


async def test_a_random_exit_never_falls_back_to_the_hosts_own_ipv4(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(RANDOM))
    async with telling() as port:
        assert await seen(proxy, port, host="127.0.0.1") == "code 4"
        said = await http(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"no address of the family" in said


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_every_connection_has_an_address_of_its_own_that_decodes_to_its_proxy(
    engine: BuiltinEngine, count: int
) -> None:
    proxies = [record(RANDOM, id_) for id_ in (5, 6)]
    for proxy in proxies:
        await engine.start(proxy)
    async with telling() as port:
        found = {proxy.id: await connections(proxy, port, count // 2) for proxy in proxies}
    assert len({address for addresses in found.values() for address in addresses}) == count
    for id_, addresses in found.items():
        assert all(IPv6Address(each) in IPv6Network(PREFIX) for each in addresses)
        assert {number.proxy for each in addresses if (number := decoded(each))} == {id_}


async def test_a_killed_worker_and_its_successor_draw_no_address_twice(engine: BuiltinEngine, tmp_path: Path) -> None:
    await engine.start(proxy := record(RANDOM))
    async with telling() as port:
        before = [await seen(proxy, port) for _ in range(20)]
        await engine.halt()
        async with BuiltinEngine(
            tmp_path / "engine", listen="127.0.0.1", workers=1, allow_destinations=LOCAL
        ) as successor:
            await successor.start(proxy)
            after = [await seen(proxy, port) for _ in range(20)]
    assert len({*before, *after}) == 40


async def test_a_changed_exit_counts_for_new_connections_and_leaves_the_open_ones_alone(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record({"mode": "address", "address": V6_EXIT}))
    changed = record(RANDOM, version=2)
    async with telling() as port, asked(proxy, "::1", port) as before, pages() as (page_port, sources):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await page(reader, writer, page_port, "alice")
        tunnel = await asyncio.open_connection("127.0.0.1", proxy.port)
        tunnel[1].write(f"CONNECT [::1]:{port} HTTP/1.1\r\nProxy-Authorization: Basic {LOGIN}\r\n\r\n".encode())
        await tunnel[0].readuntil(b"\r\n\r\n")
        await tunnel[0].readline()
        await engine.start(changed)
        await page(reader, writer, page_port, "alice")
        assert before == sources[0] == V6_EXIT
        assert decoded(sources[1]) is not None
        assert not tunnel[0].at_eof()
        tunnel[1].write_eof()
        assert await tunnel[0].read() == b""
        writer.close()
        tunnel[1].close()


async def test_datagrams_leave_by_the_exit_too_and_only_to_its_family(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(RANDOM))
    async with datagrams("::1", echoes=True) as six, datagrams(echoes=True) as four:
        sources: list[str] = []
        for _ in range(2):
            async with association(proxy) as client:
                client.send(b"never", four.port)
                client.send(b"ping", six.port, "::1")
                assert await client.answer() == headed(b"ping", six.port, "::1")
                sources.append((await six.next())[1][0])
        assert four.heard.empty()
    assert [number.proxy for each in sources if (number := decoded(each))] == [1, 1]
    assert len(set(sources)) == 2


async def test_an_exit_that_cannot_be_made_is_told_and_what_runs_goes_on(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record({"mode": "address", "address": V6_EXIT}))
    with pytest.raises(EngineError, match="length of 32 to 112"):
        await engine.start(record(RANDOM | {"prefix": "2001:db8::/120"}, version=2, port=PORT + 9))
    assert await engine.running() == {1: 1}
    async with telling() as port:
        assert await seen(proxy, port) == V6_EXIT
