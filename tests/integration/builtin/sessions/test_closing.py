"""Clients of the built-in engine that close their side: they have gone, or they wait for their answer."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.http_requests import OK, get
from tests.clients.streams import HERE, LOCAL, LOGIN, dialled, echo, head_of, record, serving, until
from tests.engines.limited import answer_to_connect

SOON_S = 1
"""How long a client that has closed its side is waited with here."""


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    directory = tmp_path / "hasty"
    async with BuiltinEngine(
        directory, listen=HERE, workers=1, allow_destinations=LOCAL, half_closed_s=SOON_S
    ) as engine:
        yield engine
        await engine.halt()


class Silent:
    """An origin that takes requests and never answers; `asked` and `told` count them and the ends it was told of."""

    def __init__(self) -> None:
        self.asked = self.told = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        self.asked += 1
        with suppress(ConnectionError):
            await reader.read()
        self.told += 1

    async def was_asked(self) -> bool:
        return self.asked > 0

    async def knows(self) -> bool:
        return self.told == self.asked > 0


def connect(port: int) -> bytes:
    return f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode()


async def ended(engine: BuiltinEngine, proxy: ProxyRecord) -> None:
    async def nothing_is_open() -> bool:
        return (await engine.stats())[proxy.id]["open"] == 0

    await until(nothing_is_open)


async def test_a_client_that_waits_for_its_answer_behind_its_end_gets_it(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    go = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (OK, OK):
            await head_of(reader)
            await go.wait()
            writer.write(answer)

    async with serving(slow) as port, dialled(proxy.port) as (reader, writer):
        writer.write((get(port) * 2).encode())
        writer.write_eof()
        for _ in range(3):
            await engine.stats()
        go.set()
        assert (await reader.read()).count(b"\r\n\r\nok") == 2


async def test_who_does_not_get_an_answer_in_time_behind_its_end_is_told_and_so_is_the_origin(
    hasty: BuiltinEngine,
) -> None:
    await hasty.start(proxy := record())
    async with serving(origin := Silent()) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port).encode())
        writer.write_eof()
        answer = await reader.read()
        await until(origin.knows)
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"closed its side" in answer
    await ended(hasty, proxy)


async def test_each_byte_for_a_client_behind_its_end_gives_it_more_time(hasty: BuiltinEngine) -> None:
    await hasty.start(proxy := record())

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(SOON_S / 3)
            writer.write(b"x")

    async with serving(dripping) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port).encode())
        writer.write_eof()
        assert (await reader.read()).endswith(b"\r\n\r\nxxxxxxxx")


async def test_an_answer_that_stops_behind_the_clients_end_is_not_taken_for_whole(hasty: BuiltinEngine) -> None:
    await hasty.start(proxy := record())

    async def stopping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        await reader.read()

    async with serving(stopping) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port).encode())
        writer.write_eof()
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_seats_of_clients_that_went_away_are_free_for_others(engine: BuiltinEngine) -> None:
    """And the origins are told, all of them: who comes when everything is taken has mostly seen a time-out."""
    await engine.start(proxy := record(limits={"connections": 2}))
    async with serving(origin := Silent()) as port, serving(echo) as other:
        for count in (1, 2):
            async with dialled(proxy.port) as (_, writer):
                writer.write(get(port).encode())

                async def asked(count: int = count) -> bool:
                    return origin.asked == count

                await until(asked)
        assert origin.told == 0

        async def there_is_room() -> bool:
            return (await answer_to_connect(proxy, other)).startswith(b"HTTP/1.1 200")

        await until(there_is_room)
        await until(origin.knows)


async def test_a_client_that_gets_its_answer_behind_its_end_keeps_its_seat(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"connections": 1}))
    go = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        go.clear()
        await go.wait()
        writer.write(b"rest")

    async with serving(slow) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port).encode())
        writer.write_eof()
        for _ in range(3):
            await engine.stats()
        go.set()
        await reader.readuntil(b"half")
        assert (await answer_to_connect(proxy, port)).startswith(b"HTTP/1.1 429")
        go.set()
        assert await reader.read() == b"rest"


async def test_a_seat_of_a_tunnel_without_its_client_is_free_for_others(engine: BuiltinEngine) -> None:
    """Its destination does not close its side in return."""
    await engine.start(proxy := record(limits={"connections": 1}))
    stop = asyncio.Event()

    async def stubborn(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        await stop.wait()

    async with serving(stubborn) as port, serving(echo) as other:
        async with dialled(proxy.port) as (reader, writer):
            writer.write(connect(port))
            await head_of(reader)

        async def there_is_room() -> bool:
            return (await answer_to_connect(proxy, other)).startswith(b"HTTP/1.1 200")

        await until(there_is_room)
        stop.set()


async def test_a_reset_of_the_client_ends_its_request_at_once(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with serving(origin := Silent()) as port:
        with socket.create_connection((HERE, proxy.port)) as client:
            client.sendall(get(port).encode())
            client.shutdown(socket.SHUT_WR)
            await until(origin.was_asked)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(origin.knows)
    await ended(engine, proxy)


async def test_a_client_that_goes_while_nothing_is_read_from_it_is_noticed(hasty: BuiltinEngine) -> None:
    """Its upload is paused, for the origin does not take it."""
    await hasty.start(proxy := record())
    stop = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await head_of(reader)
        await stop.wait()

    async with serving(stuck) as port:
        with socket.create_connection((HERE, proxy.port)) as client:
            client.sendall(get(port, "/", "Content-Length: 100000000", method="POST").encode())
            await filled(hasty, proxy, client)
        await ended(hasty, proxy)
        stop.set()


async def filled(engine: BuiltinEngine, proxy: ProxyRecord, client: socket.socket) -> None:
    """Sends until the proxy leaves some of it unread for a while."""
    sent = waits = 0
    while waits < 20:
        passed = (await engine.stats())[proxy.id]["received_bytes"]
        if sent - passed < 300_000:
            client.sendall(bytes(100_000))
            sent, waits = sent + 100_000, 0
        else:
            waits += 1
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("early", [b"", b"hello"])
async def test_a_tunnel_is_made_for_a_client_that_closed_its_side_only_if_something_goes_in(
    engine: BuiltinEngine, early: bytes
) -> None:
    await engine.start(proxy := record())
    heard: list[bytes] = []

    async def hearing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.write(b"bye")

    async with serving(hearing) as port, dialled(proxy.port) as (reader, writer):
        writer.write(connect(port) + early)
        writer.write_eof()
        answer = await reader.read()
    assert not early or (answer.endswith(b"bye") and heard == [early])
    await ended(engine, proxy)


@pytest.mark.parametrize("protocol", ["connect", "socks5"])
async def test_a_dial_for_a_client_that_has_gone_is_given_up(engine: BuiltinEngine, protocol: str) -> None:
    """The destination is one that lets its callers wait: its backlog is full."""
    await engine.start(proxy := record())
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((HERE, 0))
        full.listen(0)
        port = full.getsockname()[1]
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex((HERE, port))
        async with dialled(proxy.port) as (_, writer):
            socks = b"\5\1\2\1\5alice\6wonder\5\1\0\1\x7f\0\0\1" + port.to_bytes(2)
            writer.write(connect(port) if protocol == "connect" else socks)

            async def dials() -> bool:
                return (await engine.stats())[proxy.id]["open"] == 1

            await until(dials)
            writer.write_eof()
            await ended(engine, proxy)


async def test_a_client_that_ends_in_the_middle_of_its_request_body_ends_it_for_the_origin(
    engine: BuiltinEngine,
) -> None:
    await engine.start(proxy := record())
    async with serving(origin := Silent()) as port, dialled(proxy.port) as (reader, writer):
        writer.write(get(port, "/", "Content-Length: 10", method="POST").encode() + b"half")
        await until(origin.was_asked)
        writer.write_eof()
        await until(origin.knows)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
