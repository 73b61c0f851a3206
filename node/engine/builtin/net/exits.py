"""Where the connections of a proxy leave this host."""

import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from typing import Protocol

from node.engine.builtin import log
from node.engine.builtin.net.dns.resolver import literal
from node.engine.builtin.net.exit_counter import ExitCounter
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols.failures import ConnectFailure
from shared.permutation import Permutation

SESSION_TTL_S = 600
"""Where the record does not say how long a session keeps its address after its last connection."""
MOST_SESSIONS = 16_384
"""Of one proxy at once; beyond it the one that ended longest ago loses its address early."""

_IP_BIND_ADDRESS_NO_PORT, _IPV6_FREEBIND = 24, 78
"""Out of linux/in.h and linux/in6.h; Python does not name them."""


class Lease:
    """The address of a session, and how many connections hold it."""

    __slots__ = ("_exit", "_session", "address", "holders")

    def __init__(self, exit_: "SessionExit", session: bytes, address: str) -> None:
        self._exit = exit_
        self._session = session
        self.address = address
        self.holders = 0

    def end(self, now: float) -> None:
        """One connection less holds it."""
        self.holders -= 1
        if not self.holders:
            self._exit.rest(self._session, now)


class SessionLease(Protocol):
    """A client's connection: its session by name, and what it holds of it."""

    session: bytes | None
    lease: Lease | None


class ExitPolicy(Protocol):
    """`family`: of the destinations that can be reached, None: both."""

    family: socket.AddressFamily | None

    def address(self, guest: SessionLease, now: float) -> str | ConnectFailure | None:
        """Where its next connection leaves; None: as the system decides."""
        ...


class FixedExit:
    """The same for every connection."""

    def __init__(self, address: str | None = None) -> None:
        """Raises ValueError in words for a person."""
        found = literal(address) if address is not None else None
        if address is not None and found is None:
            raise ValueError("the exit's address is no IP address")
        self.family, self._address = found[0] if found else (None, None)

    def address(self, guest: SessionLease, now: float) -> str | ConnectFailure | None:
        return self._address


class RandomExit:
    """Another address for every connection, attributable to the proxy (shared.permutation)."""

    family: socket.AddressFamily | None = socket.AF_INET6

    def __init__(self, record: Record, exit_counter: ExitCounter) -> None:
        """Raises ValueError in words for a person."""
        if record.exit.prefix is None or record.exit.key is None:
            raise ValueError("a random exit needs a prefix and a key")
        self.prefix, self.key = record.exit.prefix, record.exit.key
        self._proxy_id = record.id
        self._permutation = Permutation(self.prefix, self.key)
        self._draws = exit_counter

    def address(self, guest: SessionLease, now: float) -> str | ConnectFailure | None:
        return self.draw()

    def draw(self) -> str | ConnectFailure:
        """An address that no connection had before."""
        try:
            self._draws.note(self.prefix, self.key)
            number = self._draws.next()
        except OSError as error:
            log.write("exit.no_draw", proxy_id=self._proxy_id, errno=error.errno)
            return ConnectFailure.EXHAUSTED
        return socket.inet_ntop(socket.AF_INET6, self._permutation.address(self._proxy_id, number).to_bytes(16))


class SessionExit(RandomExit):
    """A random address for every session, kept for a while after its last connection; without one as RandomExit."""

    def __init__(self, record: Record, exit_counter: ExitCounter) -> None:
        super().__init__(record, exit_counter)
        self.ttl_s = record.exit.session_ttl_s or SESSION_TTL_S
        self.generation = record.exit.generation
        self._leases: dict[bytes, Lease] = {}
        self._resting: dict[bytes, float] = {}

    def address(self, guest: SessionLease, now: float) -> str | ConnectFailure | None:
        if guest.session is None:
            return self.draw()
        lease = self._lease(guest.session, now)
        if isinstance(lease, ConnectFailure):
            return lease
        if guest.lease is not lease:
            before, guest.lease = guest.lease, lease
            lease.holders += 1
            self._resting.pop(guest.session, None)
            if before is not None:
                before.end(now)
        return lease.address

    def rest(self, session: bytes, now: float) -> None:
        """Nobody holds its lease any more."""
        self._resting[session] = now

    def sessions(self) -> list[tuple[str, str]]:
        """(session, address) of all, those in use last."""
        known = [*self._resting, *(each for each in self._leases if each not in self._resting)]
        return [(session.decode("ascii"), self._leases[session].address) for session in known]

    def adopt(self, sessions: list[tuple[str, str]], now: float) -> None:
        """Those that another worker had; their time begins anew."""
        for name, address in sessions:
            session = name.encode("ascii")
            if session not in self._leases:
                self._leases[session] = Lease(self, session, address)
                self.rest(session, now)

    def _lease(self, session: bytes, now: float) -> Lease | ConnectFailure:
        self._forget_ended(now)
        lease = self._leases.get(session)
        if lease is not None:
            return lease
        if len(self._leases) >= MOST_SESSIONS and not self._forget_one():
            return ConnectFailure.EXHAUSTED
        address = self.draw()
        if isinstance(address, ConnectFailure):
            return address
        lease = self._leases[session] = Lease(self, session, address)
        return lease

    def _forget_ended(self, now: float) -> None:
        while self._resting and next(iter(self._resting.values())) + self.ttl_s <= now:
            self._forget_one()

    def _forget_one(self) -> bool:
        """The one that ended longest ago; False: all are in use."""
        session = next(iter(self._resting), None)
        if session is None:
            return False
        del self._resting[session], self._leases[session]
        return True


def exit_of(record: Record, exit_counter: ExitCounter, before: ExitPolicy | None = None) -> ExitPolicy:
    """Keeps what it has of `before`, the exit so far, if that is the same. Raises ValueError in words for a person."""
    match record.exit.mode:
        case "default":
            return FixedExit()
        case "address":
            if record.exit.address is None:
                raise ValueError("the exit has no address")
            return FixedExit(record.exit.address)
        case "ipv6_random":
            return RandomExit(record, exit_counter)
        case "ipv6_session":
            return _continued(SessionExit(record, exit_counter), before)
        case mode:
            raise ValueError(f"this engine has no exit of mode {mode}")


def leave_by(sock: Socket, address: str) -> None:
    """Binds a socket to an address that need not be configured on this host, only routed to it. Raises OSError.

    For IPv4 a local route is enough to bind; IPv6 wants IPV6_FREEBIND for that. The port is chosen when the destination
    is known, so that as many connections as there are ports can go to each (ip(7), IP_BIND_ADDRESS_NO_PORT).
    """
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    sock.bind((address, 0))


def _continued(exit_: SessionExit, before: ExitPolicy | None) -> SessionExit:
    """Sessions survive a change of their time to live, and are forgotten with their generation."""
    if isinstance(before, SessionExit) and _source(before) == _source(exit_):
        before.ttl_s = exit_.ttl_s
        return before
    return exit_


def _source(exit_: SessionExit) -> tuple[str, bytes, int]:
    return exit_.prefix, exit_.key, exit_.generation
