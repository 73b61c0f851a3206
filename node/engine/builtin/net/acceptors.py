"""Where one proxy takes clients: its listeners, one a port."""

import errno
import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Collection
from sys import byteorder
from time import monotonic
from typing import Any, NamedTuple

from node.engine.builtin import log
from node.engine.builtin.net.connection import IN
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.net.reclaimed_socket import Reclaimed, close_copy

_ACCEPTS = 16
"""Clients of one batch; each may come with its first request."""
_ACCEPT_S = 0.001
"""Time for one batch; a client that is being taken is taken."""
_BACKLOG_AT, _BACKLOG_END = 24, 28
"""Where struct tcp_info of a listening socket has the length of its queue (linux/tcp.h, tcpi_unacked)."""
_PAUSE_S = 0.1
_STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor(NamedTuple):
    port: int
    family: int
    accept: Callable[[], tuple[int, tuple[Any, ...]]]
    listener: Socket


class Acceptors:
    """Opened and closed one by one, without touching who came in by the others. `welcome` is given each client."""

    __slots__ = ("_by_fd", "_proxy_id", "_reactor", "_welcome", "owner", "paused")

    def __init__(self, reactor: Reactor, proxy_id: int, owner: object, welcome: Callable[[Socket, str], None]) -> None:
        self.owner = owner
        self._reactor = reactor
        self._proxy_id = proxy_id
        self._welcome = welcome
        self._by_fd: dict[int, Acceptor] = {}
        self.paused = 0

    @property
    def ports(self) -> list[int]:
        """What is really listened on."""
        return [acceptor.port for acceptor in self._by_fd.values()]

    @property
    def listeners(self) -> list[Socket]:
        return [acceptor.listener for acceptor in self._by_fd.values()]

    def open(self, listener: Socket, port: int) -> None:
        """Takes clients from here too; instead of another listener on the same port."""
        listener.setblocking(False)
        if self._by_fd:
            self.keep([each for each in self.ports if each != port])
        fd = listener.fileno()
        self._by_fd[fd] = _door(port, listener)
        self._watch(fd)

    def keep(self, ports: Collection[int]) -> None:
        """Takes no more clients at any other port."""
        for fd, acceptor in list(self._by_fd.items()):
            if acceptor.port not in ports:
                del self._by_fd[fd]
                self._reactor.epoll.unregister(fd)
                self._reactor.discard(fd, acceptor.listener)

    def hold(self) -> None:
        """Whoever comes waits in the backlog."""
        for fd in self._by_fd:
            self._reactor.stages.pop(fd, None)
            self._reactor.turns.forget(fd)
            self._reactor.epoll.unregister(fd)

    def go_on(self) -> None:
        """Takes clients again after `hold`, for nobody took the listeners."""
        for fd, acceptor in list(self._by_fd.items()):
            self._by_fd[fd] = _door(acceptor.port, Reclaimed(self._reactor.epoll, acceptor.listener))
            self._watch(fd)

    def let_go(self) -> None:
        """Another process has the listeners that are on hold; that they are closed here does not disturb it."""
        acceptors, self._by_fd = self._by_fd, {}
        for acceptor in acceptors.values():
            close_copy(acceptor.listener)

    def close(self) -> None:
        self.keep(())

    def broken(self) -> None:
        """A fault while accepting: the client is lost, the proxy goes on."""

    def ready(self, fd: int, events: int) -> None:
        """Accepts a batch, and no more than there are: in vain it costs the kernel a whole socket."""
        acceptor = self._by_fd.get(fd)
        if acceptor is None:
            return
        accept, family, welcome = acceptor.accept, acceptor.family, self._welcome
        until = monotonic() + _ACCEPT_S
        for _ in range(_waiting(acceptor.listener)):
            try:
                accepted, address = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _STARVED:
                    self._pause(fd, error)
                return
            sock = Socket(family, socket.SOCK_STREAM, 0, accepted)
            sock.setblocking(False)
            welcome(sock, address[0])
            if monotonic() >= until:
                return

    def _watch(self, fd: int) -> None:
        self._reactor.stages[fd] = self
        self._reactor.epoll.register(fd, IN)

    def _pause(self, fd: int, error: OSError) -> None:
        """Out of descriptors or memory: those who wait in the backlog are taken a little later."""
        if not self.paused:
            log.write("accept.paused", proxy_id=self._proxy_id, errno=error.errno)
        self.paused += 1
        self._reactor.epoll.modify(fd, 0)
        self._reactor.loop.call_later(_PAUSE_S, self._resume, fd)

    def _resume(self, fd: int) -> None:
        if self._reactor.stages.get(fd) is self:
            self._reactor.epoll.modify(fd, IN)


def _door(port: int, listener: Socket) -> Acceptor:
    # What accept() adds to this, a socket of Python's own class, costs more than the call itself.
    accept = listener._accept  # pyright: ignore
    return Acceptor(port, listener.family, accept, listener)


def _waiting(listener: Socket) -> int:
    """How many are to be accepted in one batch: at least one, for the listener was ready a moment ago."""
    told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BACKLOG_END)
    return min(max(int.from_bytes(told[_BACKLOG_AT:], byteorder), 1), _ACCEPTS)
