"""Exits of the built-in engine: a session keeps its address."""

import asyncio
from contextlib import AsyncExitStack
from ipaddress import IPv6Address, IPv6Network

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyId
from tests.clients.streams import until
from tests.engines.exits import PREFIX, SESSION, V6_EXIT, asked, page, pages, record, seen, telling


async def test_a_session_keeps_its_address_until_its_time_after_the_last_connection_is_over(
    engine: BuiltinEngine,
) -> None:
    await engine.start(proxy := record(SESSION))
    async with telling() as port:
        async with asked(proxy, "::1", port, "alice-session-a1") as first:
            assert IPv6Address(first) in IPv6Network(PREFIX)
            await asyncio.sleep(1.2)
            assert await seen(proxy, port, user="alice-session-a1") == first
            assert await seen(proxy, port, user="alice-session-b2") != first
            assert await seen(proxy, port) != first

        async def changed() -> bool:
            await asyncio.sleep(1.1)
            return await seen(proxy, port, user="alice-session-a1") != first

        await until(changed)


async def test_a_session_in_use_keeps_its_address_when_another_process_takes_over(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(SESSION))
    async with telling() as port:
        ended = await seen(proxy, port, user="alice-session-b2")
        async with asked(proxy, "::1", port, "alice-session-a1") as first:
            await engine.upgrade()
            assert await seen(proxy, port, user="alice-session-b2") == ended
            await asyncio.sleep(1.2)
            assert await seen(proxy, port, user="alice-session-a1") == first


async def test_sessions_in_use_outlive_one_handover_after_another_with_their_connections(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(SESSION))
    users = [f"alice-session-s{number}" for number in range(5)]

    async def only_theirs() -> bool:
        return (await engine.stats())[ProxyId(1)]["open"] == len(users)

    async with telling() as port, AsyncExitStack() as stack:
        first = [await stack.enter_async_context(asked(proxy, "::1", port, user)) for user in users]
        for _ in range(3):
            await engine.upgrade()
            await asyncio.sleep(1.1)
            assert [await seen(proxy, port, user=user) for user in users] == first
            await until(only_theirs)
    assert len(set(first)) == len(users)


async def test_http_requests_of_two_sessions_never_share_a_connection(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(SESSION))
    async with pages() as (port, sources):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        for user in ("alice-session-a", "alice-session-a", "alice-session-b", "alice-session-a", "alice"):
            await page(reader, writer, port, user)
        writer.close()
    first, again, other, back, none = sources
    assert first == again == back
    assert len({first, other, none}) == 3


async def test_a_session_stays_when_the_exit_becomes_another(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(SESSION))
    async with pages() as (port, sources):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await page(reader, writer, port, "alice-session-a")
        await engine.start(record({"mode": "address", "address": V6_EXIT}, version=2))
        await page(reader, writer, port, "alice")
        writer.close()
    assert sources[0] != V6_EXIT
    assert sources[1] == V6_EXIT
