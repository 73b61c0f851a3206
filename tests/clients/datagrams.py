"""A client of UDP ASSOCIATE (RFC 1928 §7) and ends for its datagrams, for tests over real sockets."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, LIMIT_S, dialled

LOGIN = b"\5\1\2\1\5alice\6wonder"
NOWHERE = b"\1\0\0\0\0\0\0"

Address = tuple[Any, ...]


@dataclass
class Datagrams(asyncio.DatagramProtocol):
    """One end; what it heard and from where."""

    heard: asyncio.Queue[tuple[bytes, Address]] = field(default_factory=asyncio.Queue)
    echoes: bool = False
    transport: asyncio.DatagramTransport | None = None
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.heard.put_nowait((data, addr))
        if self.echoes:
            self.send(data, addr)

    def send(self, data: bytes, address: Address) -> None:
        assert self.transport
        self.transport.sendto(data, address)

    @property
    def port(self) -> int:
        assert self.transport
        return self.transport.get_extra_info("sockname")[1]

    async def next(self) -> tuple[bytes, Address]:
        async with asyncio.timeout(LIMIT_S):
            return await self.heard.get()


@asynccontextmanager
async def datagrams(host: str = HERE, *, echoes: bool = False) -> AsyncIterator[Datagrams]:
    loop = asyncio.get_running_loop()
    transport, end = await loop.create_datagram_endpoint(lambda: Datagrams(echoes=echoes), local_addr=(host, 0))
    try:
        yield end
    finally:
        transport.close()
        await end.lost.wait()


@dataclass
class Association:
    """A client's: its connection, where to send, and from where."""

    relay: Address
    end: Datagrams
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, payload: bytes, port: int, host: str = HERE) -> None:
        self.end.send(headed(payload, port, host), self.relay)

    async def answer(self) -> bytes:
        data, sender = await self.end.next()
        assert sender[:2] == self.relay
        return data


def headed(payload: bytes, port: int, host: str) -> bytes:
    return b"\0\0\0" + place(host) + struct.pack("!H", port) + payload


def place(host: str) -> bytes:
    for family, kind in ((socket.AF_INET, b"\1"), (socket.AF_INET6, b"\4")):
        with suppress(OSError):
            return kind + socket.inet_pton(family, host)
    return bytes((3, len(host))) + host.encode()


@asynccontextmanager
async def association(
    proxy: ProxyRecord, *, host: str = HERE, announced: bytes = NOWHERE, end: Datagrams | None = None
) -> AsyncIterator[Association]:
    async with dialled(proxy.port, host) as (reader, writer), datagrams(host) as own:
        writer.write(LOGIN + b"\5\3\0" + announced)
        assert await reader.readexactly(7) == b"\5\2\1\0\5\0\0"
        kind = (await reader.readexactly(1))[0]
        family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
        bound = socket.inet_ntop(family, await reader.readexactly(size))
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        yield Association((bound, port), end or own, reader, writer)
