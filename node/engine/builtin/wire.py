"""One end of a connection: a non-blocking socket, what waits to be sent on it, and what epoll watches for."""

import select
import socket
import struct

from node.engine.builtin.reactor import Reactor, Stage

IN, OUT = int(select.EPOLLIN), int(select.EPOLLOUT)
GONE = int(select.EPOLLHUP | select.EPOLLERR)
FAILED = int(select.EPOLLERR)

_UNWATCHED = -1
_RESET = struct.pack("ii", 1, 0)


class Wire:
    """`ended`: nothing more comes from the other side. `shut`: nothing more goes to it."""

    __slots__ = ("ended", "fd", "mask", "pending", "reactor", "shut", "sock")

    def __init__(self, reactor: Reactor, sock: socket.socket) -> None:
        self.reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        self.mask = _UNWATCHED
        self.pending = b""
        self.ended = False
        self.shut = False

    def belong(self, stage: Stage) -> None:
        """Events on this wire are this stage's from now on."""
        self.reactor.stages[self.fd] = stage

    def watch(self, mask: int) -> None:
        """Level-triggered; costs a system call only when something changes."""
        if mask != self.mask:
            if self.mask == _UNWATCHED:
                self.reactor.epoll.register(self.fd, mask)
            else:
                self.reactor.epoll.modify(self.fd, mask)
            self.mask = mask

    def unwatch(self) -> None:
        """Hang-ups are reported whether asked for or not; this silences them too."""
        if self.mask != _UNWATCHED:
            self.reactor.epoll.unregister(self.fd)
            self.mask = _UNWATCHED

    def receive(self) -> int:
        """Bytes now in the reactor's buffer, -1 when there is nothing to read yet; 0 is the end. Raises OSError."""
        try:
            count = self.sock.recv_into(self.reactor.buffer)
        except BlockingIOError:
            return -1
        if not count:
            self.ended = True
        return count

    def send(self, data: bytes | memoryview) -> None:
        """Sends what the receiver takes and keeps the rest. Raises OSError."""
        if self.pending:
            self.pending += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.pending = bytes(data[sent:])

    def flush(self) -> None:
        """Sends what was kept. Raises OSError."""
        if self.pending:
            try:
                sent = self.sock.send(self.pending)
            except BlockingIOError:
                return
            self.pending = self.pending[sent:]

    def finish(self) -> None:
        """Tells the other side that nothing more comes. Raises OSError."""
        if not self.shut:
            self.shut = True
            self.sock.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Closed at the end of the batch; dropped again it does nothing, for its number may be another's by then."""
        if self.fd >= 0:
            self.reactor.discard(self.fd, self.sock)
            self.fd = -1

    def reset(self) -> None:
        """Closed so that the other side sees a reset and cannot take what it got for the whole."""
        if self.fd >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.drop()
