"""An HTTP server on the loopback interface that reports the client's address: the default target of proxy checks."""

import asyncio
import json
import socket

from node.engine.builtin import log
from node.engine.builtin.net.dns.resolver import Address

ECHO_HOST = "check.maybe-proxy.internal"
"""The name under which every proxy reaches it, on any port; see shared.echo."""

_ANSWER_S = 5.0
_MAX_HEAD = 8192
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class Echo:
    """Listens on one port, on the loopback address of each family that the host supports."""

    def __init__(self) -> None:
        """Raises OSError."""
        self.port = 0
        self.addresses: tuple[Address, ...] = ()
        self._listeners: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        for family, host in _LOOPBACKS:
            self._listen(family, host)

    async def open(self) -> None:
        for listener in self._listeners:
            self._servers.append(await asyncio.start_server(_answer, sock=listener, limit=_MAX_HEAD))

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def _listen(self, family: socket.AddressFamily, host: str) -> None:
        try:
            listener = socket.create_server((host, self.port), family=family)
        except OSError:
            if family == socket.AF_INET:
                raise
            return  # no IPv6 here, or its port is taken: checks of proxies with an IPv6 exit report that
        self.port = listener.getsockname()[1]
        self.addresses += ((family, host),)
        self._listeners.append(listener)


async def opened_echo() -> Echo | None:
    """Open the server; None if this host has no port for it. Checks then report that its name is unknown."""
    try:
        echo = Echo()
    except OSError as error:
        log.write("echo.not_opened", errno=error.errno)
        return None
    await echo.open()
    return echo


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request per connection; a client that breaks off or takes too long gets no answer."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            await reader.readuntil(b"\r\n\r\n")
            body = json.dumps({"ip": writer.get_extra_info("peername")[0]}).encode()
            writer.write(_HEAD % len(body) + body)
            await writer.drain()
    except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
        writer.transport.abort()
    finally:
        writer.close()
