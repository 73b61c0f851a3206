"""Where a proxy's clients cannot go, whatever they call it."""

import asyncio
from pathlib import Path

import pytest

from shared.proxies import ProxyRecord
from tests.clients.plain import PAGE, RefusedError, answer_page, basic, dialled, fetch
from tests.clients.streams import HERE, serving, until
from tests.engines.records import record
from tests.engines.three_proxy import opened

CLOSED = ("0.0.0.0/8", "127.0.0.0/8", "::1/128")
OPENED = "127.0.0.9"
CLOSED_NAMES = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0")
CLOSED_LITERALS = ("::1", "::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "::")
EVERY_WAY = [("http", "absolute"), ("http", "connect"), ("socks5", "socks5")]


async def answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe")


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_a_closed_network_is_reached_by_no_name_and_what_is_opened_of_it_is(
    directory: Path, binary: Path, protocol: str, way: str
) -> None:
    literals = CLOSED_LITERALS if way == "socks5" else [f"[{literal}]" for literal in CLOSED_LITERALS]
    async with (
        opened(directory, binary, closed=CLOSED, allow_destinations=[OPENED]) as engine,
        serving(answer_page, "0.0.0.0") as port,
        serving(answer_page, "::1") as port6,
    ):
        await engine.start(proxy := record(1, protocol=protocol))
        for host in (*CLOSED_NAMES, *literals):
            for closed in (port, port6):
                with pytest.raises(RefusedError):
                    await fetch(proxy, closed, way=way, host=host)
        assert await fetch(proxy, port, way=way, host=OPENED) == PAGE


async def test_a_kept_connection_goes_on_to_no_closed_network(directory: Path, binary: Path, page: int) -> None:
    def request(host: str, port: int) -> bytes:
        lines = f"GET http://{host}:{port}/ HTTP/1.1", f"Host: {host}:{port}", "Connection: keep-alive", basic_login
        return "\r\n".join(lines).encode() + b"\r\n"

    basic_login = basic(("alice", "wonder-1"))
    async with (
        opened(directory, binary, closed=CLOSED, allow_destinations=[OPENED]) as engine,
        serving(answer_each, OPENED) as port,
    ):
        await engine.start(proxy := record(1, protocol="http"))
        async with dialled(proxy.port) as stream:
            stream.writer.write(request(OPENED, port))
            assert (await stream.reader.readuntil(b"safe")).startswith(b"HTTP/1.1 200 ")
            stream.writer.write(request(HERE, page))
            assert (await stream.reader.readline()).split(b" ")[1] == b"403"


async def test_a_closed_destination_is_counted_as_such(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary, closed=CLOSED) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        with pytest.raises(RefusedError):
            await fetch(proxy, page)

        async def told() -> bool:
            return [each.refused for each in await engine.usage()] == [{"destination": 1}]

        await until(told)


@pytest.mark.parametrize(("protocol", "way"), EVERY_WAY)
async def test_ports_and_hosts_that_are_off_limits_are_reached_by_nobody(
    directory: Path, binary: Path, page: int, protocol: str, way: str
) -> None:
    """A rule for a name must not touch who asks for an address, and the other way round."""
    async with opened(directory, binary, deny_ports=(page,)) as engine:

        async def started(version: int, **destinations: object) -> ProxyRecord:
            proxy = record(1, protocol=protocol, version=version, destinations=destinations)
            await engine.start(proxy)
            return proxy

        closed_by_node = await started(1)
        with pytest.raises(RefusedError):
            await fetch(closed_by_node, page, way=way)
        assert await fetch(await started(2, allow_ports=[page]), page, way=way) == PAGE
        everything = {"allow_ports": ["1-65535"]}
        named = await started(3, **everything, deny_hosts=["localhost"])
        assert await fetch(named, page, way=way, host=HERE) == PAGE
        for host in ("localhost", "LOCALHOST"):
            with pytest.raises(RefusedError):
                await fetch(named, page, way=way, host=host)
        placed = await started(4, **everything, deny_hosts=[HERE])
        for host in (HERE, "127.1"):
            with pytest.raises(RefusedError):
                await fetch(placed, page, way=way, host=host)
