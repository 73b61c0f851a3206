"""Connects to a destination: its addresses race, each a little behind the one before (RFC 8305 §5)."""

import errno
import socket
from typing import Protocol

from node.engine.builtin.client import Client
from node.engine.builtin.destinations import Destination
from node.engine.builtin.failures import Failure, failure_of
from node.engine.builtin.reactor import Stage
from node.engine.builtin.resolver import Address
from node.engine.builtin.wire import OUT, Wire

_NON_BLOCKING = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_NO_WAY = frozenset({Failure.NAME, Failure.NETWORK, Failure.HOST})


class Caller(Stage, Protocol):
    """Who wants to be connected."""

    def reached(self, wire: Wire) -> None: ...

    def unreached(self, failure: Failure) -> None: ...


class Dial:
    """Ends with one call of `reached` or `unreached`, unless it is closed before; either may come at once.

    The first address that answers wins, the other attempts are closed.
    """

    __slots__ = ("_addresses", "_caller", "_client", "_ended", "_failure", "_port", "_reactor", "_wires")

    def __init__(self, client: Client, caller: Caller, port: int) -> None:
        self._client = client
        self._reactor = client.reactor
        self._caller = caller
        self._port = port
        self._addresses: list[Address] = []
        self._failure = Failure.NAME
        self._wires: dict[int, Wire] = {}
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
        wire = self._wires.pop(fd, None)
        if wire is None:
            return
        error = wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            wire.drop()
            self._note(failure_of(error))
            self._next_attempt()
        else:
            self.close()
            self._caller.reached(wire)

    def expire(self) -> None:
        """The time for all addresses is up."""
        self._give_up(Failure.TIMEOUT)

    def hurry(self) -> None:
        """The last attempt has had its head start."""
        self._next_attempt()

    def close(self) -> None:
        self._ended = True
        self._reactor.dials.discard(self)
        self._reactor.attempts.discard(self)
        for wire in self._wires.values():
            wire.drop()
        self._wires.clear()

    def broken(self) -> None:
        self.close()
        self._caller.broken()

    def _give_up(self, failure: Failure) -> None:
        self.close()
        self._caller.unreached(failure)

    def _resolved(self, addresses: tuple[Address, ...]) -> None:
        if self._ended:
            return
        may_dial = self._reactor.may_dial
        self._addresses = [address for address in reversed(addresses) if may_dial(address[1])]
        if addresses and not self._addresses:
            self._failure = Failure.PRIVATE
        self._next_attempt()

    def _next_attempt(self) -> None:
        """One more is under way afterwards, unless no address is left."""
        reactor = self._reactor
        reactor.attempts.discard(self)
        while self._addresses:
            if self._try(*self._addresses.pop()):
                if self._addresses:
                    reactor.attempts.add(self, reactor.now)
                return
        if not self._wires:
            self._give_up(self._failure)

    def _try(self, family: socket.AddressFamily, host: str) -> bool:
        """Whether the attempt is under way."""
        try:
            sock = socket.socket(family, _NON_BLOCKING)
        except OSError as error:
            self._note(failure_of(error.errno))
            return False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = sock.connect_ex((host, self._port))
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            self._note(failure_of(error))
            return False
        wire = Wire(self._reactor, sock)
        self._wires[wire.fd] = wire
        wire.belong(self)
        wire.watch(OUT)
        return True

    def _note(self, failure: Failure) -> None:
        """That there is no way to one address says less than what another one answered."""
        if failure not in _NO_WAY or self._failure in _NO_WAY:
            self._failure = failure
