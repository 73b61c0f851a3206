"""Plain clients of any proxy, spoken by hand: what they fetch, and how they are turned away."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from shared.proxies import ProxyRecord
from tests.clients.streams import HERE

ELSEWHERE = "127.0.0.2"
LIMIT_S = 5.0
PAGE = b"a page of the origin"
ALICE, BOB = ("alice", "wonder-1"), ("bob", "builder-2")

Login = tuple[str, str] | None


class RefusedError(Exception):
    """The proxy turned the client away: an HTTP status, a SOCKS failure code, or None for a closed connection."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Stream:
    """A connection through the proxy, or to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def echoes(self, data: bytes = b"still here") -> bool:
        self.writer.write(data)
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readexactly(len(data)) == data

    async def closed(self) -> None:
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    async def flows_until(self, done: asyncio.Event) -> int:
        """Bytes that came back whole and in order, up to the event."""
        total, chunk = 0, random.randbytes(65536)
        while not done.is_set():
            assert await self.echoes(chunk)
            total += len(chunk)
        return total


@contextmanager
def refusals() -> Any:
    try:
        yield
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        raise RefusedError(None) from error


@asynccontextmanager
async def dialled(port: int, source: str = HERE) -> AsyncIterator[Stream]:
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(HERE, port, local_addr=(source, 0))
    try:
        yield Stream(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def basic(login: Login) -> str:
    if login is None:
        return ""
    return f"Proxy-Authorization: Basic {base64.b64encode(':'.join(login).encode()).decode()}\r\n"


async def http_head(stream: Stream, request: str) -> None:
    """Sends the request and reads the answer's head; anything but 2xx is a refusal."""
    with refusals():
        async with asyncio.timeout(LIMIT_S):
            stream.writer.write(request.encode())
            status = int((await stream.reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])
    if status // 100 != 2:
        raise RefusedError(status)


async def http_connect(stream: Stream, host: str, port: int, login: Login) -> None:
    await http_head(stream, f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{basic(login)}\r\n")


async def socks_connect(stream: Stream, host: str, port: int, login: Login) -> None:
    """RFC 1928 and 1929; a login is offered only where there is one."""
    with refusals():
        async with asyncio.timeout(LIMIT_S):
            stream.writer.write(b"\5\1\2" if login else b"\5\1\0")
            _, method = await stream.reader.readexactly(2)
            if method == 0xFF:
                raise RefusedError(method)
            if method == 2 and login:
                await socks_login(stream, login)
            stream.writer.write(b"\5\1\0" + socks_address(host) + port.to_bytes(2))
            _, code, _, kind = await stream.reader.readexactly(4)
            if code:
                raise RefusedError(code)
            await stream.reader.readexactly({1: 6, 4: 18}[kind])


async def socks_login(stream: Stream, login: tuple[str, str]) -> None:
    fields = b"".join(bytes([len(field)]) + field.encode() for field in login)
    stream.writer.write(b"\1" + fields)
    _, status = await stream.reader.readexactly(2)
    if status:
        raise RefusedError(status)


def socks_address(host: str) -> bytes:
    with suppress(ValueError):
        return b"\1" + IPv4Address(host).packed
    return b"\3" + bytes([len(host)]) + host.encode()


@asynccontextmanager
async def tunnel(
    proxy: ProxyRecord, port: int, login: Login = ALICE, *, way: str = "connect", host: str = HERE, source: str = HERE
) -> AsyncIterator[Stream]:
    """A connection to the origin through the proxy; raises RefusedError."""
    async with dialled(proxy.port, source) as stream:
        await {"connect": http_connect, "socks5": socks_connect}[way](stream, host, port, login)
        yield stream


async def fetch(
    proxy: ProxyRecord, port: int, login: Login = ALICE, *, way: str = "connect", host: str = HERE, source: str = HERE
) -> bytes:
    """The origin's page; raises RefusedError."""
    if way == "absolute":
        request = f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n{basic(login)}\r\n"
        async with dialled(proxy.port, source) as stream:
            await http_head(stream, request)
            return await stream.reader.readexactly(len(PAGE))
    async with tunnel(proxy, port, login, way=way, host=host, source=source) as stream:
        await http_head(stream, f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
        return await stream.reader.readexactly(len(PAGE))


async def accepts(port: int) -> bool:
    with suppress(ConnectionError):
        async with dialled(port):
            return True
    return False


async def answer_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PAGE), PAGE))
    await writer.drain()
