"""Servers that the demo fleet needs on this machine: a web server with pages of any size, and webhook receivers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.services.ports import HOST

GOOD, GONE_WRONG = "204 No Content", "500 Internal Server Error"
CHUNK = b"maybe-proxy demo\n" * 964


@asynccontextmanager
async def page_server() -> AsyncIterator[int]:
    """Run a web server that answers `/BYTES` with a page of so many bytes; provides its port."""
    async with await asyncio.start_server(answer_page, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]


async def answer_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = int(head.split(b" ", 2)[1].strip(b"/") or b"0")
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            for start in range(0, size, len(CHUNK)):
                writer.write(CHUNK[: size - start])
                await writer.drain()
    writer.close()


@asynccontextmanager
async def receivers(*ports_and_answers: tuple[int, str]) -> AsyncIterator[None]:
    """Run a webhook receiver at each port, which answers each message with the status."""
    servers = [await asyncio.start_server(receiver(status), HOST, port) for port, status in ports_and_answers]
    try:
        yield
    finally:
        for server in servers:
            server.close()


def receiver(status: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return the handler of a receiver that reads one message and answers it with the status."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(length_of(head))
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    return answer


def length_of(head: bytes) -> int:
    fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if b":" in line)
    return int(fields.get(b"content-length", b"0"))
