"""A client that speaks TLS by hand over a blocking socket, so that it can close its side, dawdle, and misbehave."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.clients.streams import HERE, LIMIT_S, LOGIN

PIECE = 1 << 16


class TlsClient:
    """`say` and `hear` carry bytes inside TLS; `goodbye` closes this side and leaves the other open."""

    def __init__(
        self, port: int, context: ssl.SSLContext, *, session: ssl.SSLSession | None = None, name: str = HERE
    ) -> None:
        self.sock = socket.create_connection((HERE, port), timeout=LIMIT_S)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)

    def shake_hands(self) -> None:
        while True:
            try:
                self.ssl.do_handshake()
            except ssl.SSLWantReadError:
                self.push()
                self._pull()
            else:
                self.push()
                return

    def push(self) -> None:
        self.sock.sendall(self.outgoing.read())

    def _pull(self) -> None:
        data = self.sock.recv(PIECE)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def say(self, data: bytes) -> None:
        self.ssl.write(data)
        self.push()

    def hear(self, most: int = PIECE) -> bytes:
        """Something, or b"" once the other side has said goodbye. Raises SSLError if it has not, but ended."""
        while True:
            try:
                return self.ssl.read(most)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                self._pull()

    def hear_until(self, end: bytes) -> bytes:
        heard = b""
        while not heard.endswith(end):
            heard += (piece := self.hear(1))
            assert piece, heard
        return heard

    def hear_all(self) -> bytes:
        return b"".join(iter(self.hear, b""))

    def goodbye(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.ssl.unwrap()
        self.push()

    def connect(self, port: int) -> None:
        """Open a tunnel."""
        self.say(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        assert self.hear_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


@contextmanager
def tls_client(port: int, context: ssl.SSLContext, *, session: ssl.SSLSession | None = None) -> Iterator[TlsClient]:
    """A client whose handshake is done."""
    client = TlsClient(port, context, session=session)
    with client.sock:
        client.shake_hands()
        yield client


async def in_thread(work: Callable[[], object]) -> None:
    """Do what blocks."""
    async with asyncio.timeout(3 * LIMIT_S):
        await asyncio.to_thread(work)
