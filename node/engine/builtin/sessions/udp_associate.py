"""Relays datagrams for a SOCKS5 client as long as its TCP connection lasts (RFC 1928 §7, UDP ASSOCIATE).

Longer than most modules because both directions of an association share its sockets, its limits and its end.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from node.engine.builtin.net.connection import GONE, IN, OUT, Connection
from node.engine.builtin.net.dns.resolver import Address, literal
from node.engine.builtin.net.exits import bind_exit
from node.engine.builtin.protocols import socks5
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure, failure_of
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.connector import reachable
from node.engine.builtin.sessions.rate_limit import DOWN, UP

_BATCH = 16
"""Datagrams read in one event; the next event reads more."""
_MAX_PEERS = 1024
"""Destinations whose answers are relayed; beyond it, the one that was written to longest ago is forgotten."""
_MAX_WAITING = 16
"""Datagrams of one association that wait for a name; more are dropped."""
_DATAGRAMS = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_ROOM = socks5.LONGEST_REPLY_HEAD
"""Offset at which datagrams are read into the reactor's buffer, so that the header of an answer fits before them."""

Sender = tuple[Any, ...]
"""A sender as the socket module returns it: host, port, and for IPv6 two more numbers."""


class DatagramAddress(NamedTuple):
    """A literal address and a port."""

    host: str
    port: int


class UdpAssociation:
    """Accepts datagrams only from the client's address, and relays answers only from addresses to which the client has
    sent something. It stays silent to everybody else, so it cannot be used for amplification.

    Datagrams are dropped while the receiver or the rate limit takes no more. Nothing is sent to an address of another
    family than the exit's, or to one that clients may not be connected to.
    """

    __slots__ = (
        "_announced",
        "_client",
        "_client_address",
        "_client_host",
        "_family",
        "_inner",
        "_lookups",
        "_outer",
        "_peers",
        "_refused",
        "_source",
    )

    def __init__(
        self, client: Client, inner: Connection, source: str | None, announced: DatagramAddress | None
    ) -> None:
        """`inner` is the socket that faces the client, `source` the address from which datagrams leave, `announced` the
        address that the client has announced for its own."""
        self._client = client
        self._inner = inner
        self._outer: dict[socket.AddressFamily, Connection] = {}
        self._family = client.proxy.exit.family
        self._source = source
        self._announced = announced
        self._client_host = _plain(client.source)
        self._client_address: Sender | None = None
        self._peers: dict[DatagramAddress, None] = {}
        self._lookups: dict[object, Callable[[], None] | None] = {}
        self._refused: set[ConnectFailure] = set()

    @property
    def owner(self) -> object:
        return self._client.proxy

    def start(self) -> None:
        client, inner = self._client, self._inner
        client.proxy.associations += 1
        client.enter(self)
        inner.hand_to(self)
        inner.watch(IN)
        client.send(socks5.reply(socks5.SUCCEEDED, *inner.sock.getsockname()[:2]))
        self._settle()

    def ready(self, fd: int, events: int) -> None:
        if fd == self._client.fd:
            self._client_ready(events)
        elif fd == self._inner.fd:
            self._read(self._inner, self._from_client)
        else:
            for connection in [each for each in self._outer.values() if each.fd == fd]:
                self._read(connection, self._to_client)

    def resume(self) -> None:
        """Does nothing: datagrams are dropped, not held back, while the rate limit allows none."""

    def close(self) -> None:
        if self._inner.fd >= 0:
            self._client.proxy.associations -= 1
        for give_up in filter(None, self._lookups.values()):
            give_up()
        self._lookups.clear()
        for connection in (self._inner, *self._outer.values(), self._client):
            connection.drop()

    def abort(self) -> None:
        self.close()

    def _client_ready(self, events: int) -> None:
        """Handle events of the client's TCP connection: its data is ignored, its end ends the association."""
        client = self._client
        if events & GONE or (events & IN and not client.receive()):
            self.close()
            return
        client.flush()
        self._settle()

    def _settle(self) -> None:
        self._client.watch(IN | (OUT if self._client.waiting else 0))

    def _read(self, connection: Connection, handle: Callable[[int, Sender], None]) -> None:
        room = self._client.reactor.view[_ROOM:]
        for _ in range(_BATCH):
            try:
                count, sender = connection.sock.recvfrom_into(room)
            except BlockingIOError:
                return
            except OSError:
                # This reports the fate of an earlier datagram (udp(7)); reading it is all that is needed.
                continue
            handle(count, sender)

    def _from_client(self, count: int, sender: Sender) -> None:
        """Relay a datagram from the client, whatever its port is: a NAT assigns a new one after a pause (RFC 1928 §7
        names only the address). A port that was announced remains the only one."""
        if sender != self._client_address and not self._is_client(sender):
            return
        reactor = self._client.reactor
        data = reactor.view[_ROOM : _ROOM + count]
        datagram = socks5.read_datagram(bytes(data[: socks5.LONGEST_DATAGRAM_HEAD]))
        if datagram is None:
            return
        self._client_address = sender
        refused = self._client.proxy.denied.refusal(datagram.destination)
        if refused is not None:
            self._refuse(refused)
            return
        payload, (host, port) = data[datagram.size :], datagram.destination
        known = reactor.resolver.known(host)
        if known is not None:
            self._forward(known, port, payload)
        elif len(self._lookups) < _MAX_WAITING:
            self._look_up(host, port, bytes(payload))

    def _is_client(self, sender: Sender) -> bool:
        if sender[0] != self._client_host:
            return False
        return self._announced is None or sender[:2] == self._announced

    def _look_up(self, host: str, port: int, payload: bytes) -> None:
        reactor, lookups, wait = self._client.reactor, self._lookups, object()

        def resolved(addresses: tuple[Address, ...]) -> None:
            lookups.pop(wait, None)
            if self._inner.fd >= 0:
                self._forward(addresses, port, payload)

        lookups[wait] = None
        give_up = reactor.resolver.look_up(host, partial(reactor.run, self, resolved), self._client.proxy.record.id)
        if wait in lookups:
            lookups[wait] = give_up

    def _forward(self, addresses: tuple[Address, ...], port: int, payload: bytes | memoryview) -> None:
        """Send the payload to the first address that accepts it."""
        client = self._client
        found = client.proxy.denied.open_of(addresses)
        if not isinstance(found, ConnectFailure):
            found = reachable(found, self._family, client.reactor.may_connect)
        if isinstance(found, ConnectFailure):
            self._refuse(found)
            return
        if not self._allowed(UP, len(payload)):
            return
        for family, host in found:
            if self._sent(family, DatagramAddress(host, port), payload):
                self._client.proxy.received += len(payload)
                return

    def _refuse(self, failure: ConnectFailure) -> None:
        """Count each reason once per association, because a dropped datagram is not a connection."""
        if failure not in self._refused:
            self._refused.add(failure)
            self._client.note_failure(failure)

    def _sent(self, family: socket.AddressFamily, address: DatagramAddress, payload: bytes | memoryview) -> bool:
        try:
            self._socket_for(family).sock.sendto(payload, address)
        except OSError:
            return False
        self._peers.pop(address, None)
        self._peers[address] = None
        if len(self._peers) > _MAX_PEERS:
            del self._peers[next(iter(self._peers))]
        return True

    def _socket_for(self, family: socket.AddressFamily) -> Connection:
        """The socket for destinations of this family. Raises OSError."""
        connection = self._outer.get(family)
        if connection is None:
            sock = _bound(family, self._source)
            connection = self._outer[family] = Connection(self._client.reactor, sock)
            connection.hand_to(self)
            connection.watch(IN)
        return connection

    def _to_client(self, count: int, sender: Sender) -> None:
        """Relay an answer, if the client has sent something to its sender."""
        address = DatagramAddress(*sender[:2])
        if address not in self._peers or self._client_address is None or not self._allowed(DOWN, count):
            return
        head = socks5.datagram_head(*address)
        view, begin = self._client.reactor.view, _ROOM - len(head)
        view[begin:_ROOM] = head
        # A datagram is lost if the client's side has no room for it, or if its header made it too long.
        with suppress(OSError):
            self._inner.sock.sendto(view[begin : _ROOM + count], self._client_address)
            self._client.proxy.sent += count

    def _allowed(self, direction: int, size: int) -> bool:
        """Whether a datagram may pass. It passes as a whole or not at all, so it may overdraw the level, and later ones
        wait for that."""
        rate_limit = self._client.proxy.rate_limit
        return rate_limit is None or not size or rate_limit.allowance(self, direction, size) > 0


def associate(client: Client, announced: Destination) -> UdpAssociation | ConnectFailure:
    """Create an association that is ready to start; its socket is bound to the address at which the client reached the
    proxy."""
    proxy = client.proxy
    if proxy.associations >= client.reactor.shares.associations:
        return ConnectFailure.EXHAUSTED
    source = proxy.exit.address(client, client.reactor.now)
    if isinstance(source, ConnectFailure):
        return source
    host, *_ = here = client.sock.getsockname()
    family = socket.AF_INET6 if ":" in _plain(host) else socket.AF_INET
    try:
        sock = _bound(family, None, (_plain(host), 0, *here[2:]) if family == socket.AF_INET6 else (_plain(host), 0))
    except OSError as error:
        return failure_of(error.errno)
    is_own = announced.port and _plain(announced.host) == _plain(client.source)
    address = DatagramAddress(_plain(announced.host), announced.port) if is_own else None
    return UdpAssociation(client, Connection(client.reactor, sock), source, address)


def _bound(family: socket.AddressFamily, source: str | None, address: Sender | None = None) -> socket.socket:
    """Raises OSError."""
    sock = socket.socket(family, _DATAGRAMS)
    try:
        if source is not None:
            bind_exit(sock, source)
        elif address is not None:
            sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _plain(host: str) -> str:
    """Convert an IPv4-mapped address to the IPv4 one; anything else stays as it is."""
    found = literal(host)
    return found[0][1] if found else host
