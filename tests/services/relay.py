"""A wire to a service that can be cut: a listener which carries the bytes of each connection to the real address."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.services.ports import HOST

CHUNK = 65_536


@dataclass
class Relay:
    """A port of 127.0.0.1 in front of `host:port`. It takes no connection until `open`.

    `seen` are the bytes that it has carried, both ways. With `tls` it ends the TLS of its clients.
    """

    host: str
    port: int
    own_port: int = 0
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    tls: ssl.SSLContext | None = None
    seen: bytearray = field(default_factory=bytearray)

    async def open(self) -> None:
        """Take connections, at the same port as before."""
        self.flows.set()
        self.server = await asyncio.start_server(self._session, HOST, self.own_port, ssl=self.tls)
        self.own_port = self.server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection, and refuse new ones, as the host of a killed program does."""
        if self.server:
            self.server.close()
        self.reset()

    def reset(self) -> None:
        """Reset every connection; new ones are taken."""
        for writer in list(self.writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Carry nothing any more, and take connections nevertheless, as a stuck program does."""
        self.flows.clear()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            there, away = await self._behind()
        except OSError:
            writer.transport.abort()
            return
        self.writers.add(away)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(reader, away))
            group.create_task(self._carry(there, writer))
        self.writers -= {writer, away}

    async def _behind(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the service. Raises OSError."""
        return await asyncio.open_connection(self.host, self.port)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                self.seen += data
                await self.flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def relays(count: int, host: str, port: int) -> AsyncIterator[list[Relay]]:
    """Several open ports in front of one address, which stand for the programs of a cluster."""
    made = [Relay(host, port) for _ in range(count)]
    async with opened(*made):
        yield made


@asynccontextmanager
async def opened(*made: Relay) -> AsyncIterator[None]:
    """Take connections at these ports for as long as the context lasts."""
    try:
        for relay in made:
            await relay.open()
        yield
    finally:
        for relay in made:
            relay.flows.set()
            relay.cut()
