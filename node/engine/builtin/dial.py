"""Connects to a destination, one of its addresses after the other."""

import errno
import socket
from typing import Protocol

from node.engine.builtin.destinations import Destination
from node.engine.builtin.failures import Failure, failure_of
from node.engine.builtin.reactor import Reactor, Stage
from node.engine.builtin.resolver import Address
from node.engine.builtin.wire import OUT, Wire

_NON_BLOCKING = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class Caller(Stage, Protocol):
    """Who wants to be connected."""

    def reached(self, wire: Wire) -> None: ...

    def unreached(self, failure: Failure) -> None: ...


class Dial:
    """Ends with one call of `reached` or `unreached`, unless it is closed before; either may come at once."""

    __slots__ = ("_addresses", "_caller", "_ended", "_failure", "_port", "_reactor", "_wire")

    def __init__(self, reactor: Reactor, caller: Caller, port: int) -> None:
        self._reactor = reactor
        self._caller = caller
        self._port = port
        self._addresses: list[Address] = []
        self._failure = Failure.NAME
        self._wire: Wire | None = None
        self._ended = False

    def start(self, destination: Destination) -> None:
        reactor, host = self._reactor, destination.host
        reactor.dials.add(self, reactor.now)
        known = reactor.resolver.known(host)
        if known is not None:
            self._resolved(known)
        else:
            reactor.resolver.look_up(host, lambda addresses: reactor.run(self, self._resolved, addresses))

    def ready(self, fd: int, events: int) -> None:
        wire = self._wire
        if wire is None:
            return
        error = wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._drop_address(failure_of(error))
            return
        self._wire = None
        self._end()
        self._caller.reached(wire)

    def expire(self) -> None:
        """The time for all addresses is up."""
        self.close()
        self._caller.unreached(Failure.TIMEOUT)

    def give_up_address(self) -> None:
        """The time for this address is up."""
        if self._wire is not None:
            self._drop_address(Failure.TIMEOUT)

    def close(self) -> None:
        self._end()
        if self._wire is not None:
            self._wire.drop()
            self._wire = None

    def broken(self) -> None:
        self.close()
        self._caller.broken()

    def _end(self) -> None:
        self._ended = True
        self._reactor.dials.discard(self)
        self._reactor.attempts.discard(self)

    def _resolved(self, addresses: tuple[Address, ...]) -> None:
        if not self._ended:
            self._addresses = list(reversed(addresses))
            self._next_address()

    def _next_address(self) -> None:
        while self._addresses and not self._ended and self._wire is None:
            self._try(*self._addresses.pop())
        if self._wire is None and not self._ended:
            self._end()
            self._caller.unreached(self._failure)

    def _try(self, family: socket.AddressFamily, host: str) -> None:
        try:
            sock = socket.socket(family, _NON_BLOCKING)
        except OSError as error:
            self._failure = failure_of(error.errno)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = sock.connect_ex((host, self._port))
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            self._failure = failure_of(error)
            return
        self._wire = wire = Wire(self._reactor, sock)
        wire.belong(self)
        wire.watch(OUT)
        if self._addresses:
            self._reactor.attempts.add(self, self._reactor.now)

    def _drop_address(self, failure: Failure) -> None:
        if self._wire is not None:
            self._wire.drop()
            self._wire = None
        self._failure = failure
        self._reactor.attempts.discard(self)
        self._next_address()
