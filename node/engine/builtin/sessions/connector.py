"""Connects to a destination: its addresses race, each a little behind the one before (RFC 8305 §5)."""

import errno
import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from node.engine.builtin.net.connection import EDGE, GONE, IN, OUT, Connection
from node.engine.builtin.net.dns.resolver import Address
from node.engine.builtin.net.echo_server import ECHO_HOST
from node.engine.builtin.net.exits import leave_by
from node.engine.builtin.net.reactor import Stage
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure, failure_of
from node.engine.builtin.sessions.client import Client

_NON_BLOCKING = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_MOST_ADDRESSES = 32
"""Of one name; each is judged, and tried in its turn, so that a name with thousands costs no more than others."""
_NO_WAY = frozenset({ConnectFailure.NAME, ConnectFailure.NETWORK, ConnectFailure.HOST})


def reachable(
    addresses: Sequence[Address], family: socket.AddressFamily | None, may_dial: Callable[[str], bool]
) -> list[Address] | ConnectFailure:
    """Those that an exit of this family reaches and that clients may be connected to; why there are none."""
    if family is None and len(addresses) == 1:
        return list(addresses) if may_dial(addresses[0][1]) else ConnectFailure.PRIVATE
    return _reachable(addresses, family, may_dial)


def _reachable(
    addresses: Sequence[Address], family: socket.AddressFamily | None, may_dial: Callable[[str], bool]
) -> list[Address] | ConnectFailure:
    if not addresses:
        return ConnectFailure.NAME
    of_family = addresses if family is None else [address for address in addresses if address[0] == family]
    if not of_family:
        return ConnectFailure.FAMILY
    return [address for address in of_family if may_dial(address[1])] or ConnectFailure.PRIVATE


def _anywhere(host: str) -> bool:
    """The echo is private to the host, and there for every client."""
    del host
    return True


class Caller(Stage, Protocol):
    """Who wants to be connected."""

    def reached(self, wire: Connection) -> None: ...

    def unreached(self, failure: ConnectFailure) -> None: ...


class Connector:
    """Ends with one call of `reached` or `unreached`, unless it is closed before; either may come at once.

    The first address that answers wins, the other attempts are closed.
    """

    __slots__ = (
        "_addresses",
        "_asked",
        "_caller",
        "_client",
        "_ended",
        "_failure",
        "_may_dial",
        "_port",
        "_reactor",
        "_source",
        "_wires",
    )

    def __init__(self, client: Client, caller: Caller, port: int) -> None:
        self._client = client
        self._reactor = client.reactor
        self._caller = caller
        self._port = port
        self._may_dial = client.reactor.may_dial
        self._addresses: list[Address] = []
        self._failure = ConnectFailure.NAME
        self._source: str | None = None
        self._wires: list[Connection] = []
        self._ended = False
        self._asked: Callable[[], None] | None = None

    @property
    def owner(self) -> object:
        return self._client.service

    def start(self, destination: Destination) -> None:
        reactor, host = self._reactor, destination.host
        reactor.dials.add(self, reactor.now)
        if host == ECHO_HOST and reactor.echo is not None:
            self._port, self._may_dial = reactor.echo.port, _anywhere
            self._resolved(reactor.echo.addresses)
            return
        refused = self._client.service.off_limits.refusal(destination)
        if refused is not None:
            self._give_up(refused)
            return
        self._client.went_to = destination
        known = reactor.resolver.known(host)
        if known is not None:
            self._resolved(known)
        else:
            then = partial(reactor.run, self, self._resolved)
            self._asked = reactor.resolver.look_up(host, then, self._client.service.record.id)

    def ready(self, fd: int, events: int) -> None:
        if events == OUT and len(self._wires) == 1 and not self._addresses:
            self._ended = True
            self._reactor.dials.discard(self)
            self._caller.reached(self._wires.pop())
            return
        for wire in self._wires:
            if wire.fd == fd:
                self._wires.remove(wire)
                self._answered(wire, events)
                return

    def _answered(self, wire: Connection, events: int) -> None:
        error = wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if events & GONE else 0
        if error:
            wire.drop()
            self._note(failure_of(error))
            self._next_attempt()
            return
        self.close()
        if events != OUT:
            # It has said something already, which whoever takes over has to be told of.
            wire.watch(IN)
        self._caller.reached(wire)

    def expire(self) -> None:
        """The time for all addresses is up."""
        self._give_up(ConnectFailure.TIMEOUT)

    def hurry(self) -> None:
        """The last attempt has had its head start."""
        self._next_attempt()

    def close(self) -> None:
        self._ended = True
        self._reactor.dials.discard(self)
        if self._asked is not None:
            self._asked()
            self._asked = None
        if self._addresses:
            self._reactor.attempts.discard(self)
        if self._wires:
            for wire in self._wires:
                wire.drop()
            self._wires.clear()

    def broken(self) -> None:
        self.close()
        self._caller.broken()

    def _give_up(self, failure: ConnectFailure) -> None:
        self.close()
        self._caller.unreached(failure)

    def _resolved(self, addresses: tuple[Address, ...]) -> None:
        if self._ended:
            return
        service = self._client.service
        exit_ = service.exit
        found = addresses if self._may_dial is _anywhere else service.off_limits.open_of(addresses)
        if not isinstance(found, ConnectFailure):
            found = reachable(found[:_MOST_ADDRESSES], exit_.family, self._may_dial)
        if not isinstance(found, list):
            self._give_up(found)
            return
        source = exit_.address(self._client, self._reactor.now)
        if source is not None and not isinstance(source, str):
            self._give_up(source)
            return
        self._source = source
        if len(found) > 1:
            found.reverse()
            self._addresses = found
            self._next_attempt()
            return
        family, host = found[0]
        if not self._try(family, host):
            self._give_up(self._failure)

    def _next_attempt(self) -> None:
        """One more is under way afterwards, unless no address is left."""
        reactor = self._reactor
        if self._addresses:
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
            sock = Socket(family, _NON_BLOCKING)
        except OSError as error:
            self._note(failure_of(error.errno))
            return False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The handshake's last packet travels with the first data; see Wire.stay.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        source = self._source
        error = sock.connect_ex((host, self._port)) if source is None else self._connect(sock, source, host)
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            self._note(ConnectFailure.EXIT if source is not None and error == errno.EINVAL else failure_of(error))
            return False
        wire = Connection(self._reactor, sock)
        self._wires.append(wire)
        wire.join(self, EDGE)
        return True

    def _connect(self, sock: Socket, source: str, host: str) -> int:
        """The errno of a connect that is under way or failed at once; EINVAL: it cannot leave from its source."""
        try:
            leave_by(sock, source)
        except OSError:
            return errno.EINVAL
        return sock.connect_ex((host, self._port))

    def _note(self, failure: ConnectFailure) -> None:
        """That there is no way to one address says less than what another one answered."""
        if failure not in _NO_WAY or self._failure in _NO_WAY:
            self._failure = failure
