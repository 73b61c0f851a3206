"""Exits of proxies: addresses that are routed to this host, and destinations that report a connection's source."""

import asyncio
import base64
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv6Address
from typing import Any

from shared.engine.permutation import DecodedAddress, Permutation
from shared.proxies import ProxyRecord

PREFIX, KEY = "2001:db8:77:1::/64", bytes(range(16))
V4_EXIT, V6_EXIT = "198.51.100.7", "2001:db8:77:2::7"
RANDOM = {"mode": "ipv6_random", "prefix": PREFIX, "key": KEY.hex()}
SESSION = RANDOM | {"mode": "ipv6_session", "session_ttl_s": 1}
LOGIN = "YWxpY2U6d29uZGVy"
LIMIT_S = 20.0
PORT = 20001


def record(exit_: dict[str, Any], id_: int = 1, **changes: Any) -> ProxyRecord:
    fields = {"id": id_, "version": 1, "content": 7, "protocol": "mixed", "username": "alice", "password": "wonder"}
    return ProxyRecord.model_validate(fields | {"port": PORT + id_, "exit": exit_} | changes)


@asynccontextmanager
async def telling() -> AsyncIterator[int]:
    """A destination of both families that sends each client its address, and then waits."""

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(f"{writer.get_extra_info('peername')[0]}\n".encode())
            await reader.read()
        writer.close()

    server = await asyncio.start_server(tell, None, 0, family=socket.AF_INET6, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    async with server, await asyncio.start_server(tell, "0.0.0.0", port, backlog=4096):
        yield port


@asynccontextmanager
async def asked(proxy: ProxyRecord, host: str, port: int, user: str = "alice") -> AsyncIterator[str]:
    """The source address that the destination sees, while the connection is open; the proxy's reply code if it
    failed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    login = bytes((1, len(user))) + user.encode() + b"\6wonder"
    name = bytes((5, 1, 0, 3, len(host))) + host.encode() + struct.pack("!H", port)
    try:
        async with asyncio.timeout(LIMIT_S):
            writer.write(b"\5\1\2" + login + name)
            assert await reader.readexactly(4) == b"\5\2\1\0"
            code = (await reader.readexactly(10))[1]
            yield (await reader.readline()).decode().strip() if code == 0 else f"code {code}"
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def seen(proxy: ProxyRecord, port: int, *, host: str = "::1", user: str = "alice") -> str:
    async with asked(proxy, host, port, user) as source:
        return source


def decoded(address: str) -> DecodedAddress | None:
    return Permutation(PREFIX, KEY).drawn(int(IPv6Address(address)))


async def http(proxy: ProxyRecord, head: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    login = "Proxy-Authorization: Basic YWxpY2U6d29uZGVy\r\nConnection: close\r\n\r\n"
    writer.write((head + login).encode())
    async with asyncio.timeout(LIMIT_S):
        answer = await reader.read()
    writer.close()
    return answer


async def connections(proxy: ProxyRecord, port: int, count: int) -> list[str]:
    """The source addresses of `count` connections, up to 50 at once."""
    found: list[str] = []
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            found.append(await seen(proxy, port))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(50):
            tasks.create_task(some())
    return found


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, user: str) -> None:
    """Send one request through the proxy, and check the response."""
    login = base64.b64encode(f"{user}:wonder".encode()).decode()
    head = f"GET http://[::1]:{port}/ HTTP/1.1\r\nHost: [::1]\r\nProxy-Authorization: Basic {login}\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(LIMIT_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@asynccontextmanager
async def pages() -> AsyncIterator[tuple[int, list[str]]]:
    """An origin, and the source address of each of its requests."""
    sources: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                sources.append(writer.get_extra_info("peername")[0])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        yield server.sockets[0].getsockname()[1], sources
