"""Real traffic through a proxy: an echo server behind it and tunnels that tell when a byte is lost."""

import asyncio
import base64
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
ANSWER_S = 5.0


class Refused(Exception):
    """The proxy did not open a tunnel; the text is its status line, or how the connection ended."""


@dataclass
class Tunnel:
    """One connection through a proxy to an echo server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def beat(self, size: int = 2048) -> None:
        """Random bytes go there and come back the same. Raises AssertionError, OSError, EOFError, TimeoutError."""
        sent = os.urandom(size)
        async with asyncio.timeout(ANSWER_S):
            self.writer.write(sent)
            await self.writer.drain()
            assert await self.reader.readexactly(size) == sent

    async def ended(self, within_s: float) -> bool:
        """Whether the other side closes it in time."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    async def close(self) -> None:
        """Can be called again. A cancelled `wait_closed` would make every later one raise CancelledError, so it is
        shielded.
        """
        self.writer.close()
        with suppress(ConnectionError):
            await asyncio.shield(self.writer.wait_closed())


@asynccontextmanager
async def echo_server() -> AsyncGenerator[int]:
    """Its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@dataclass
class Client:
    """Opens tunnels to one echo server and closes them in the end."""

    echo_port: int
    opened: list[Tunnel] = field(default_factory=list[Tunnel])

    async def tunnel(self, proxy: Mapping[str, Any], *, password: str | None = None) -> Tunnel:
        """Raises Refused, OSError, TimeoutError."""
        made = await tunnel(proxy, self.echo_port, password=password)
        self.opened.append(made)
        return made

    async def use(self, proxy: Mapping[str, Any]) -> None:
        """A tunnel of its own, used once. Raises AssertionError, Refused, OSError, EOFError, TimeoutError."""
        await (await self.tunnel(proxy)).beat()

    async def close(self) -> None:
        for each in self.opened:
            await each.close()


async def tunnel(proxy: Mapping[str, Any], port: int, *, password: str | None = None) -> Tunnel:
    """A tunnel by CONNECT through this proxy, as the API shows it. Raises Refused, OSError, TimeoutError."""
    login = base64.b64encode(f"{proxy['username']}:{password or proxy['password']}".encode()).decode()
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(proxy["host"], proxy["port"])
        head = f"CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
        writer.write(f"{head}Proxy-Authorization: Basic {login}\r\n\r\n".encode())
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            writer.close()
            raise Refused("the connection ended") from error
        except asyncio.CancelledError:  # so does a timeout end it
            writer.close()
            raise
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        await Tunnel(reader, writer).close()
        raise Refused(answer.split(b"\r\n")[0].decode())
    return Tunnel(reader, writer)


async def accepts(proxy: Mapping[str, Any]) -> bool:
    """Whether something listens at this proxy's port."""
    try:
        async with asyncio.timeout(ANSWER_S):
            _, writer = await asyncio.open_connection(proxy["host"], proxy["port"])
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return True
