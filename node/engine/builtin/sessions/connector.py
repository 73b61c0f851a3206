"""Connects to a destination: its addresses race, each starting a little after the one before (RFC 8305 §5)."""

import errno
import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from node.engine.builtin.net.connection import EDGE, GONE, IN, OUT, Connection
from node.engine.builtin.net.dns.resolver import Address
from node.engine.builtin.net.echo_server import ECHO_HOST
from node.engine.builtin.net.exits import bind_exit
from node.engine.builtin.net.stage import Stage
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure, failure_of
from node.engine.builtin.sessions.client import Client

_NON_BLOCKING = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_MAX_ADDRESSES = 32
"""Addresses tried of one name, so that a name with thousands of them costs no more than others."""
_NO_ROUTE = frozenset({ConnectFailure.NAME, ConnectFailure.NETWORK, ConnectFailure.HOST})


def reachable(
    addresses: Sequence[Address], family: socket.AddressFamily | None, may_connect: Callable[[str], bool]
) -> list[Address] | ConnectFailure:
    """The addresses that an exit of this family reaches and that clients may be connected to, or the reason why there
    are none."""
    if family is None and len(addresses) == 1:
        return list(addresses) if may_connect(addresses[0][1]) else ConnectFailure.PRIVATE
    return _reachable(addresses, family, may_connect)


def _reachable(
    addresses: Sequence[Address], family: socket.AddressFamily | None, may_connect: Callable[[str], bool]
) -> list[Address] | ConnectFailure:
    if not addresses:
        return ConnectFailure.NAME
    of_family = addresses if family is None else [address for address in addresses if address[0] == family]
    if not of_family:
        return ConnectFailure.FAMILY
    return [address for address in of_family if may_connect(address[1])] or ConnectFailure.PRIVATE


def _anywhere(host: str) -> bool:
    """Permit any address: the echo server is private to the host, but open to all clients."""
    del host
    return True


class Caller(Stage, Protocol):
    """The stage that wants a connection."""

    def connected(self, connection: Connection) -> None: ...

    def connect_failed(self, failure: ConnectFailure) -> None: ...


class Connector:
    """One attempt to reach a destination. It ends with one call of `connected` or `connect_failed`, which may come at
    once, unless it is closed before.

    The first address that answers wins; the other attempts are closed.
    """

    __slots__ = (
        "_addresses",
        "_caller",
        "_cancel_lookup",
        "_client",
        "_connections",
        "_ended",
        "_failure",
        "_may_connect",
        "_port",
        "_reactor",
        "_source",
    )

    def __init__(self, client: Client, caller: Caller, port: int) -> None:
        self._client = client
        self._reactor = client.reactor
        self._caller = caller
        self._port = port
        self._may_connect = client.reactor.may_connect
        self._addresses: list[Address] = []
        self._failure = ConnectFailure.NAME
        self._source: str | None = None
        self._connections: list[Connection] = []
        self._ended = False
        self._cancel_lookup: Callable[[], None] | None = None

    @property
    def owner(self) -> object:
        return self._client.proxy

    def start(self, destination: Destination) -> None:
        reactor, host = self._reactor, destination.host
        reactor.connecting.add(self, reactor.now)
        if host == ECHO_HOST and reactor.echo is not None:
            self._port, self._may_connect = reactor.echo.port, _anywhere
            self._resolved(reactor.echo.addresses)
            return
        refused = self._client.proxy.denied.refusal(destination)
        if refused is not None:
            self._fail(refused)
            return
        self._client.destination = destination
        known = reactor.resolver.known(host)
        if known is not None:
            self._resolved(known)
        else:
            callback = partial(reactor.run, self, self._resolved)
            self._cancel_lookup = reactor.resolver.look_up(host, callback, self._client.proxy.record.id)

    def ready(self, fd: int, events: int) -> None:
        if events == OUT and len(self._connections) == 1 and not self._addresses:
            self._ended = True
            self._reactor.connecting.discard(self)
            self._caller.connected(self._connections.pop())
            return
        for connection in self._connections:
            if connection.fd == fd:
                self._connections.remove(connection)
                self._attempt_ended(connection, events)
                return

    def _attempt_ended(self, connection: Connection, events: int) -> None:
        error = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if events & GONE else 0
        if error:
            connection.drop()
            self._keep_failure(failure_of(error))
            self._next_attempt()
            return
        self.close()
        if events != OUT:
            # The destination has already sent data or an end, of which the next stage has to be notified.
            connection.watch(IN)
        self._caller.connected(connection)

    def expire(self) -> None:
        """Give up: the time for all addresses is up."""
        self._fail(ConnectFailure.TIMEOUT)

    def try_next(self) -> None:
        """Start the next attempt: the last one has had its head start."""
        self._next_attempt()

    def close(self) -> None:
        self._ended = True
        self._reactor.connecting.discard(self)
        if self._cancel_lookup is not None:
            self._cancel_lookup()
            self._cancel_lookup = None
        if self._addresses:
            self._reactor.attempts.discard(self)
        if self._connections:
            for connection in self._connections:
                connection.drop()
            self._connections.clear()

    def abort(self) -> None:
        self.close()
        self._caller.abort()

    def _fail(self, failure: ConnectFailure) -> None:
        self.close()
        self._caller.connect_failed(failure)

    def _resolved(self, addresses: tuple[Address, ...]) -> None:
        if self._ended:
            return
        proxy = self._client.proxy
        exit_ = proxy.exit
        found = addresses if self._may_connect is _anywhere else proxy.denied.open_of(addresses)
        if not isinstance(found, ConnectFailure):
            found = reachable(found[:_MAX_ADDRESSES], exit_.family, self._may_connect)
        if not isinstance(found, list):
            self._fail(found)
            return
        source = exit_.address(self._client, self._reactor.now)
        if source is not None and not isinstance(source, str):
            self._fail(source)
            return
        self._source = source
        if len(found) > 1:
            found.reverse()
            self._addresses = found
            self._next_attempt()
            return
        family, host = found[0]
        if not self._try(family, host):
            self._fail(self._failure)

    def _next_attempt(self) -> None:
        """Start one more attempt, unless no address is left."""
        reactor = self._reactor
        if self._addresses:
            reactor.attempts.discard(self)
        while self._addresses:
            if self._try(*self._addresses.pop()):
                if self._addresses:
                    reactor.attempts.add(self, reactor.now)
                return
        if not self._connections:
            self._fail(self._failure)

    def _try(self, family: socket.AddressFamily, host: str) -> bool:
        """Start an attempt; False if it failed at once."""
        try:
            sock = Socket(family, _NON_BLOCKING)
        except OSError as error:
            self._keep_failure(failure_of(error.errno))
            return False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The last packet of the handshake travels with the first data; see Connection.keep_alive.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        source = self._source
        error = sock.connect_ex((host, self._port)) if source is None else self._connect(sock, source, host)
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            self._keep_failure(
                ConnectFailure.EXIT if source is not None and error == errno.EINVAL else failure_of(error)
            )
            return False
        connection = Connection(self._reactor, sock)
        self._connections.append(connection)
        connection.register(self, EDGE)
        return True

    def _connect(self, sock: Socket, source: str, host: str) -> int:
        """Bind and connect. Returns the errno; EINVAL if the connection cannot leave from its source address."""
        try:
            bind_exit(sock, source)
        except OSError:
            return errno.EINVAL
        return sock.connect_ex((host, self._port))

    def _keep_failure(self, failure: ConnectFailure) -> None:
        """Keep the more informative failure: a missing route to one address matters less than another address's
        answer."""
        if failure not in _NO_ROUTE or self._failure in _NO_ROUTE:
            self._failure = failure
