"""The end of a connection after its last response."""

from socket import MSG_TRUNC

from node.engine.builtin.net.connection import GONE, IN, OUT
from node.engine.builtin.net.reactor import BUFFER
from node.engine.builtin.sessions.client import Client

_MAX_DISCARDED = 64 * 1024 * 1024
"""Bytes discarded for a client that keeps sending: what a link of 170 Mbit/s carries in the time."""


_LONGEST_S = 30.0
"""For an admitted client that still sends the rest of its request, as in nginx."""


class LingeringClose:
    """Sends the rest, half-closes, and discards input for a while. Closing with unread input would cause a reset, which
    can destroy the response before the client reads it (RFC 9112 §9.6)."""

    __slots__ = ("_client", "_left", "_until")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._left = _MAX_DISCARDED
        self._until = client.reactor.now + _LONGEST_S

    @property
    def owner(self) -> object:
        return self._client.proxy

    def start(self, last: bytes) -> None:
        client = self._client
        client.enter(self)
        client.reactor.lingering.add(self, client.reactor.now)
        if last:
            client.send(last)
        self._settle()

    def ready(self, fd: int, events: int) -> None:
        if events & GONE:
            self.close()
            return
        self._client.deliver()
        if events & IN:
            self._discard_input()
        self._settle()

    def _discard_input(self) -> None:
        """Discard input inside the kernel, without copying it (tcp(7), MSG_TRUNC)."""
        client = self._client
        try:
            count = client.sock.recv_into(client.reactor.buffer, BUFFER, MSG_TRUNC)
        except BlockingIOError:
            return
        self._left -= count
        client.ended = not count
        now = client.reactor.now
        if self._left <= 0:
            self.close()
        elif count and client.admitted and now < self._until:
            client.reactor.lingering.add(self, now)

    def expire(self) -> None:
        self.close()

    def close(self) -> None:
        self._client.reactor.lingering.discard(self)
        self._client.drop()

    def abort(self) -> None:
        self.close()

    def _settle(self) -> None:
        client = self._client
        if client.stage is not self:
            return
        if not client.waiting:
            if client.ended:
                self.close()
                return
            client.finish()
        client.watch((0 if client.ended else IN) | (OUT if client.waiting else 0))
