"""What every engine promises: who gets in, by which protocol, and what an origin learns."""

import asyncio
from contextlib import suppress

import pytest

from node.engine.interface import EngineError
from tests.clients.plain import ALICE, BOB, ELSEWHERE, PAGE, RefusedError, fetch
from tests.clients.streams import HERE, serving
from tests.engines.records import open_to, record
from tests.integration.engines.conftest import OpenEngine

WAYS = {"http": ("absolute", "connect"), "socks5": ("socks5",), "mixed": ("absolute", "connect", "socks5")}
EVERY_WAY = [(protocol, way) for protocol, ways in WAYS.items() for way in ways]


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_a_client_fetches_a_page_by_address_and_by_name(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol))
        assert await engine.running() == {1: 1}
        assert await fetch(proxy, page, way=way) == PAGE
        assert await fetch(proxy, page, way=way, host="localhost") == PAGE


async def test_the_origin_learns_neither_the_login_nor_the_client(open_engine: OpenEngine) -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PAGE), PAGE))

    async with open_engine() as engine, serving(answer) as port:
        await engine.start(proxy := record(1))
        assert await fetch(proxy, port, way="absolute", source=ELSEWHERE) == PAGE
    head = heads[0].lower()
    assert head.startswith(b"get / http/1.1\r\n")
    assert not [word for word in (b"proxy-auth", b"forwarded", ELSEWHERE.encode()) if word in head]


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_a_wrong_or_missing_login_is_refused(open_engine: OpenEngine, page: int, protocol: str, way: str) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol))
        for login in ((ALICE[0], "guess"), BOB, None):
            with pytest.raises(RefusedError) as refusal:
                await fetch(proxy, page, login, way=way)
            assert way == "socks5" or refusal.value.code == 407
        assert await fetch(proxy, page, way=way) == PAGE


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_without_a_login_only_listed_sources_get_in(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol, **open_to("192.0.2.0/24", "2001:db8::/32", ELSEWHERE)))
        assert await fetch(proxy, page, None, way=way, source=ELSEWHERE) == PAGE
        with pytest.raises(RefusedError):
            await fetch(proxy, page, None, way=way)


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_with_both_a_login_and_sources_both_must_hold(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol, allow_ips=(ELSEWHERE,)))
        assert await fetch(proxy, page, ALICE, way=way, source=ELSEWHERE) == PAGE
        for login, source in ((ALICE, HERE), (BOB, ELSEWHERE), (None, ELSEWHERE)):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, login, way=way, source=source)


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_a_proxy_with_neither_login_nor_sources_serves_nobody(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        with suppress(EngineError):
            await engine.start(proxy := record(1, protocol=protocol, **open_to()))
            for login in (ALICE, None):
                with pytest.raises(RefusedError):
                    await fetch(proxy, page, login, way=way)


@pytest.mark.parametrize(("protocol", "way"), [("http", "socks5"), ("socks5", "connect")])
async def test_a_proxy_speaks_only_its_own_protocol(
    open_engine: OpenEngine, page: int, protocol: str, way: str
) -> None:
    async with open_engine() as engine:
        await engine.start(proxy := record(1, protocol=protocol))
        with pytest.raises((RefusedError, TimeoutError)):
            async with asyncio.timeout(1):
                await fetch(proxy, page, way=way)


async def test_two_proxies_do_not_know_each_others_users(open_engine: OpenEngine, page: int) -> None:
    async with open_engine() as engine:
        await engine.start(first := record(1))
        await engine.start(second := record(2, username=BOB[0], password=BOB[1]))
        assert await engine.running() == {1: 1, 2: 1}
        assert (await fetch(first, page, ALICE), await fetch(second, page, BOB)) == (PAGE, PAGE)
        for proxy, login in ((first, BOB), (second, ALICE)):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, login)
