"""A receiver of webhooks."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.http_server import bound_socket

LIMIT_S = 20.0


@dataclass
class Receiver:
    """Answers with `status`, or is silent; keeps the headers and bodies of all messages."""

    url: str
    status: int | None = 204
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    bodies: list[bytes] = field(default_factory=list[bytes])
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers in self.headers]

    async def has(self, count: int) -> None:
        """Wait until so many came. Raises TimeoutError."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.bodies) < count:
                self.came.clear()
                await self.came.wait()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            self.bodies.append(await reader.readexactly(int(headers["content-length"])))
            self.headers.append(headers)
            self.came.set()
            if self.status is None:
                await reader.read()
            writer.write(
                b"HTTP/1.1 %d x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n" % (self.status or 500)
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def receiver(status: int | None = 204) -> AsyncGenerator[Receiver]:
    listener = bound_socket("127.0.0.1", 0)
    made = Receiver(f"http://localhost:{listener.getsockname()[1]}/hook?secret=hush", status)
    async with await asyncio.start_server(made.take, sock=listener):
        yield made
