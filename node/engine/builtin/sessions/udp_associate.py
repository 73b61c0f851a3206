"""Relays datagrams for a SOCKS5 client as long as its connection lasts (RFC 1928 §7, UDP ASSOCIATE)."""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from node.engine.builtin.net.connection import GONE, IN, OUT, Connection
from node.engine.builtin.net.dns.resolver import Address, literal
from node.engine.builtin.net.exits import leave_by
from node.engine.builtin.protocols import socks5
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure, failure_of
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.connector import reachable
from node.engine.builtin.sessions.rate_limit import DOWN, UP

_BATCH = 16
"""Datagrams of one event; the others are told of again."""
_MOST_PEERS = 1024
"""Destinations whose answers are passed on; beyond it the one that was written to longest ago is forgotten."""
_MOST_WAITING = 16
"""Datagrams of one association that wait for a name; more are lost, as datagrams may be."""
_DATAGRAMS = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_ROOM = socks5.LONGEST_REPLY_HEAD
"""Datagrams are read that far into the reactor's buffer, so that an answer's head fits in front of it."""

Sender = tuple[Any, ...]
"""As the socket module tells it: the host, the port, and for IPv6 two numbers more."""


class DatagramAddress(NamedTuple):
    """A literal address and a port."""

    host: str
    port: int


class UdpAssociation:
    """Takes datagrams from the client's address only, and passes answers on only from where the client has sent
    something: to everybody else it is silent, so it amplifies nothing.

    What comes while a receiver or the proxy's pace takes no more is dropped, as datagrams may be. Nothing is sent on
    to an address of another family than the exit's, nor to one that clients may not be connected to.
    """

    __slots__ = (
        "_announced",
        "_client",
        "_family",
        "_home",
        "_inner",
        "_outer",
        "_peers",
        "_place",
        "_refused",
        "_source",
        "_waits",
    )

    def __init__(
        self, client: Client, inner: Connection, source: str | None, announced: DatagramAddress | None
    ) -> None:
        """`inner` faces the client, `source` is where datagrams leave, `announced` where the client's come from."""
        self._client = client
        self._inner = inner
        self._outer: dict[socket.AddressFamily, Connection] = {}
        self._family = client.service.exit.family
        self._source = source
        self._announced = announced
        self._place = _plain(client.source)
        self._home: Sender | None = None
        self._peers: dict[DatagramAddress, None] = {}
        self._waits: dict[object, Callable[[], None] | None] = {}
        self._refused: set[ConnectFailure] = set()

    @property
    def owner(self) -> object:
        return self._client.service

    def start(self) -> None:
        client, inner = self._client, self._inner
        client.service.associations += 1
        client.enter(self)
        inner.belong(self)
        inner.watch(IN)
        client.send(socks5.reply(socks5.SUCCEEDED, *inner.sock.getsockname()[:2]))
        self._settle()

    def ready(self, fd: int, events: int) -> None:
        if fd == self._client.fd:
            self._attend(events)
        elif fd == self._inner.fd:
            self._read(self._inner, self._take)
        else:
            for wire in [each for each in self._outer.values() if each.fd == fd]:
                self._read(wire, self._give)

    def resume(self) -> None:
        """Nothing was kept back while the proxy's pace allowed nothing."""

    def close(self) -> None:
        if self._inner.fd >= 0:
            self._client.service.associations -= 1
        for give_up in filter(None, self._waits.values()):
            give_up()
        self._waits.clear()
        for wire in (self._inner, *self._outer.values(), self._client):
            wire.drop()

    def broken(self) -> None:
        self.close()

    def _attend(self, events: int) -> None:
        """To the client's connection: what it says is ignored, its end is the association's."""
        client = self._client
        if events & GONE or (events & IN and not client.receive()):
            self.close()
            return
        client.flush()
        self._settle()

    def _settle(self) -> None:
        self._client.watch(IN | (OUT if self._client.waiting else 0))

    def _read(self, wire: Connection, handle: Callable[[int, Sender], None]) -> None:
        room = self._client.reactor.view[_ROOM:]
        for _ in range(_BATCH):
            try:
                count, sender = wire.sock.recvfrom_into(room)
            except BlockingIOError:
                return
            except OSError:
                # What became of a datagram sent before (udp(7)); to have read it is all that is needed.
                continue
            handle(count, sender)

    def _take(self, count: int, sender: Sender) -> None:
        """From the client, wherever its port is now: a NAT gives it another one after a pause (RFC 1928 §7 names the
        address alone). A port that was announced stays the only one."""
        if sender != self._home and not self._is_home(sender):
            return
        reactor = self._client.reactor
        data = reactor.view[_ROOM : _ROOM + count]
        datagram = socks5.read_datagram(bytes(data[: socks5.LONGEST_DATAGRAM_HEAD]))
        if datagram is None:
            return
        self._home = sender
        refused = self._client.service.off_limits.refusal(datagram.destination)
        if refused is not None:
            self._refuse(refused)
            return
        payload, (host, port) = data[datagram.size :], datagram.destination
        known = reactor.resolver.known(host)
        if known is not None:
            self._pass_on(known, port, payload)
        elif len(self._waits) < _MOST_WAITING:
            self._look_up(host, port, bytes(payload))

    def _is_home(self, sender: Sender) -> bool:
        if sender[0] != self._place:
            return False
        return self._announced is None or sender[:2] == self._announced

    def _look_up(self, host: str, port: int, payload: bytes) -> None:
        reactor, waits, wait = self._client.reactor, self._waits, object()

        def resolved(addresses: tuple[Address, ...]) -> None:
            waits.pop(wait, None)
            if self._inner.fd >= 0:
                self._pass_on(addresses, port, payload)

        waits[wait] = None
        give_up = reactor.resolver.look_up(host, partial(reactor.run, self, resolved), self._client.service.record.id)
        if wait in waits:
            waits[wait] = give_up

    def _pass_on(self, addresses: tuple[Address, ...], port: int, payload: bytes | memoryview) -> None:
        """To the first address that can be written to."""
        client = self._client
        found = client.service.off_limits.open_of(addresses)
        if not isinstance(found, ConnectFailure):
            found = reachable(found, self._family, client.reactor.may_dial)
        if isinstance(found, ConnectFailure):
            self._refuse(found)
            return
        if not self._allowed(UP, len(payload)):
            return
        for family, host in found:
            if self._sent(family, DatagramAddress(host, port), payload):
                self._client.service.received += len(payload)
                return

    def _refuse(self, failure: ConnectFailure) -> None:
        """Each reason counts once for an association: what is dropped is no connection."""
        if failure not in self._refused:
            self._refused.add(failure)
            self._client.missed(failure)

    def _sent(self, family: socket.AddressFamily, place: DatagramAddress, payload: bytes | memoryview) -> bool:
        try:
            self._way(family).sock.sendto(payload, place)
        except OSError:
            return False
        self._peers.pop(place, None)
        self._peers[place] = None
        if len(self._peers) > _MOST_PEERS:
            del self._peers[next(iter(self._peers))]
        return True

    def _way(self, family: socket.AddressFamily) -> Connection:
        """The socket for destinations of this family. Raises OSError."""
        wire = self._outer.get(family)
        if wire is None:
            sock = _bound(family, self._source)
            wire = self._outer[family] = Connection(self._client.reactor, sock)
            wire.belong(self)
            wire.watch(IN)
        return wire

    def _give(self, count: int, sender: Sender) -> None:
        """To the client, if it asked there."""
        place = DatagramAddress(*sender[:2])
        if place not in self._peers or self._home is None or not self._allowed(DOWN, count):
            return
        head = socks5.datagram_head(*place)
        view, begin = self._client.reactor.view, _ROOM - len(head)
        view[begin:_ROOM] = head
        # A datagram that the client's side has no room for, or that its head made too long, is lost.
        with suppress(OSError):
            self._inner.sock.sendto(view[begin : _ROOM + count], self._home)
            self._client.service.sent += count

    def _allowed(self, direction: int, size: int) -> bool:
        """A datagram goes as a whole or not at all: it may overdraw what is left, and later ones wait for that."""
        rate_limit = self._client.service.rate_limit
        return rate_limit is None or not size or rate_limit.allowance(self, direction, size) > 0


def associate(client: Client, announced: Destination) -> UdpAssociation | ConnectFailure:
    """Ready to start: its socket is bound to the address at which the client has reached the proxy."""
    service = client.service
    if service.associations >= client.reactor.bounds.associations:
        return ConnectFailure.EXHAUSTED
    source = service.exit.address(client, client.reactor.now)
    if isinstance(source, ConnectFailure):
        return source
    host, *_ = here = client.sock.getsockname()
    family = socket.AF_INET6 if ":" in _plain(host) else socket.AF_INET
    try:
        sock = _bound(family, None, (_plain(host), 0, *here[2:]) if family == socket.AF_INET6 else (_plain(host), 0))
    except OSError as error:
        return failure_of(error.errno)
    at_home = announced.port and _plain(announced.host) == _plain(client.source)
    place = DatagramAddress(_plain(announced.host), announced.port) if at_home else None
    return UdpAssociation(client, Connection(client.reactor, sock), source, place)


def _bound(family: socket.AddressFamily, source: str | None, place: Sender | None = None) -> socket.socket:
    """Raises OSError."""
    sock = socket.socket(family, _DATAGRAMS)
    try:
        if source is not None:
            leave_by(sock, source)
        elif place is not None:
            sock.bind(place)
    except OSError:
        sock.close()
        raise
    return sock


def _plain(host: str) -> str:
    """An IPv4-mapped address as the IPv4 one; what is no address as it is."""
    found = literal(host)
    return found[0][1] if found else host
