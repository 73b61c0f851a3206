"""The listeners of one proxy, one for each port."""

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
"""Clients accepted at once; each may bring its first request."""
_ACCEPT_S = 0.001
"""Time for one batch, checked after each client."""
_BACKLOG_AT, _BACKLOG_END = 24, 28
"""The position of the queue's length in struct tcp_info of a listening socket (linux/tcp.h, tcpi_unacked)."""
_PAUSE_S = 0.1
"""How long accepting stops after the host has run out of descriptors or memory."""
_STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor(NamedTuple):
    port: int
    family: int
    accept: Callable[[], tuple[int, tuple[Any, ...]]]
    listener: Socket


class Acceptors:
    """Opens and closes listeners one by one, without affecting clients that came in by others. `on_client` is called
    for each new client."""

    __slots__ = ("_by_fd", "_on_client", "_proxy_id", "_reactor", "owner", "pauses")

    def __init__(
        self, reactor: Reactor, proxy_id: int, owner: object, on_client: Callable[[Socket, str], None]
    ) -> None:
        self.owner = owner
        self._reactor = reactor
        self._proxy_id = proxy_id
        self._on_client = on_client
        self._by_fd: dict[int, Acceptor] = {}
        self.pauses = 0

    @property
    def ports(self) -> list[int]:
        """The ports that are open now."""
        return [acceptor.port for acceptor in self._by_fd.values()]

    @property
    def listeners(self) -> list[Socket]:
        return [acceptor.listener for acceptor in self._by_fd.values()]

    def open(self, listener: Socket, port: int) -> None:
        """Accept clients on this listener, which replaces another one on the same port."""
        listener.setblocking(False)
        if self._by_fd:
            self.keep([each for each in self.ports if each != port])
        fd = listener.fileno()
        self._by_fd[fd] = _acceptor(port, listener)
        self._watch(fd)

    def keep(self, ports: Collection[int]) -> None:
        """Close the listeners on all other ports."""
        for fd, acceptor in list(self._by_fd.items()):
            if acceptor.port not in ports:
                del self._by_fd[fd]
                self._reactor.epoll.unregister(fd)
                self._reactor.discard(fd, acceptor.listener)

    def pause(self) -> None:
        """Stop accepting; new clients wait in the backlog."""
        for fd in self._by_fd:
            self._reactor.stages.pop(fd, None)
            self._reactor.fair_queue.forget(fd)
            self._reactor.epoll.unregister(fd)

    def resume(self) -> None:
        """Accept clients again, because no other process took the listeners after `pause`."""
        for fd, acceptor in list(self._by_fd.items()):
            self._by_fd[fd] = _acceptor(acceptor.port, Reclaimed(self._reactor.epoll, acceptor.listener))
            self._watch(fd)

    def release(self) -> None:
        """Close this process's copies of the listeners, which another process has taken over and continues to use."""
        acceptors, self._by_fd = self._by_fd, {}
        for acceptor in acceptors.values():
            close_copy(acceptor.listener)

    def close(self) -> None:
        self.keep(())

    def abort(self) -> None:
        """Does nothing: after an error while accepting, the client is lost and the proxy continues."""

    def ready(self, fd: int, events: int) -> None:
        """Accept a batch, but no more clients than are waiting: a futile accept(2) makes the kernel allocate a
        socket."""
        acceptor = self._by_fd.get(fd)
        if acceptor is None:
            return
        accept, family, on_client = acceptor.accept, acceptor.family, self._on_client
        until = monotonic() + _ACCEPT_S
        for _ in range(_backlog_size(acceptor.listener)):
            try:
                accepted, address = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _STARVED:
                    self._back_off(fd, error)
                return
            sock = Socket(family, socket.SOCK_STREAM, 0, accepted)
            sock.setblocking(False)
            on_client(sock, address[0])
            if monotonic() >= until:
                return

    def _watch(self, fd: int) -> None:
        self._reactor.stages[fd] = self
        self._reactor.epoll.register(fd, IN)

    def _back_off(self, fd: int, error: OSError) -> None:
        """Out of descriptors or memory: accept the clients in the backlog a little later."""
        if not self.pauses:
            log.write("accept.paused", proxy_id=self._proxy_id, errno=error.errno)
        self.pauses += 1
        self._reactor.epoll.modify(fd, 0)
        self._reactor.loop.call_later(_PAUSE_S, self._retry, fd)

    def _retry(self, fd: int) -> None:
        if self._reactor.stages.get(fd) is self:
            self._reactor.epoll.modify(fd, IN)


def _acceptor(port: int, listener: Socket) -> Acceptor:
    # socket.accept() adds a socket of Python's own class, which costs more than the call itself.
    accept = listener._accept  # pyright: ignore
    return Acceptor(port, listener.family, accept, listener)


def _backlog_size(listener: Socket) -> int:
    """The number of clients to accept in one batch: at least one, because the listener was just reported as ready."""
    tcp_info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BACKLOG_END)
    return min(max(int.from_bytes(tcp_info[_BACKLOG_AT:], byteorder), 1), _ACCEPTS)
