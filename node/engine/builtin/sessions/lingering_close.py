"""The end of a connection that was answered for the last time."""

from socket import MSG_TRUNC

from node.engine.builtin.net.connection import GONE, IN, OUT
from node.engine.builtin.net.reactor import BUFFER
from node.engine.builtin.sessions.client import Client

_MOST = 64 * 1024 * 1024
"""Bytes that are thrown away for a client that goes on sending: what a link of 170 Mbit/s carries in the time."""


_LONGEST_S = 30.0
"""For a client that may use the proxy and still sends the rest of its request, as nginx has it."""


class LingeringClose:
    """Sends what is left, half-closes, and reads on for a while: a close with unread bytes would be a reset, which
    can take the answer away from the client (RFC 9112 §9.6)."""

    __slots__ = ("_client", "_left", "_until")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._left = _MOST
        self._until = client.reactor.now + _LONGEST_S

    @property
    def owner(self) -> object:
        return self._client.service

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
            self._throw_away()
        self._settle()

    def _throw_away(self) -> None:
        """The kernel drops what it does not have to copy (tcp(7), MSG_TRUNC)."""
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

    def broken(self) -> None:
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
