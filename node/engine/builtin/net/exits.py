"""The local addresses from which a proxy's connections leave this host."""

import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from typing import Protocol

from node.engine.builtin import log
from node.engine.builtin.net.dns.resolver import literal
from node.engine.builtin.net.exit_counter import ExitCounter
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols.failures import ConnectFailure
from shared.engine.permutation import Permutation

SESSION_TTL_S = 600
"""How long a session keeps its address after its last connection, if the record does not say."""
MAX_SESSIONS = 16_384
"""Sessions of one proxy at once; beyond it, the one that ended longest ago loses its address early."""

_IP_BIND_ADDRESS_NO_PORT, _IPV6_FREEBIND = 24, 78
"""From linux/in.h and linux/in6.h; Python does not define them."""


class Lease:
    """The address of a session, and the number of connections that hold it."""

    __slots__ = ("_exit", "_session", "address", "holders")

    def __init__(self, exit_: "SessionExit", session: bytes, address: str) -> None:
        self._exit = exit_
        self._session = session
        self.address = address
        self.holders = 0

    def end(self, now: float) -> None:
        """Record that one connection no longer holds the address."""
        self.holders -= 1
        if not self.holders:
            self._exit.release(self._session, now)


class SessionLease(Protocol):
    """The part of a client that an exit uses: the name of its session, and the lease that it holds."""

    session: bytes | None
    lease: Lease | None


class ExitPolicy(Protocol):
    """Chooses the local address of each connection. `family` is the only family of destinations that it reaches; None
    for both."""

    family: socket.AddressFamily | None

    def address(self, client: SessionLease, now: float) -> str | ConnectFailure | None:
        """The local address of the client's next connection; None if the system chooses."""
        ...


class FixedExit:
    """The same address for every connection."""

    def __init__(self, address: str | None = None) -> None:
        """Raises ValueError with a message for people."""
        found = literal(address) if address is not None else None
        if address is not None and found is None:
            raise ValueError("the exit's address is not an IP address")
        self.family, self._address = found[0] if found else (None, None)

    def address(self, client: SessionLease, now: float) -> str | ConnectFailure | None:
        return self._address


class RandomExit:
    """A different address for every connection, attributable to the proxy (shared.engine.permutation)."""

    family: socket.AddressFamily | None = socket.AF_INET6

    def __init__(self, record: Record, exit_counter: ExitCounter) -> None:
        """Raises ValueError with a message for people."""
        if record.exit.prefix is None or record.exit.key is None:
            raise ValueError("a random exit needs a prefix and a key")
        self.prefix, self.key = record.exit.prefix, record.exit.key
        self._proxy_id = record.id
        self._permutation = Permutation(self.prefix, self.key)
        self._exit_counter = exit_counter

    def address(self, client: SessionLease, now: float) -> str | ConnectFailure | None:
        return self.draw()

    def draw(self) -> str | ConnectFailure:
        """Draw an address that no connection has had before."""
        try:
            self._exit_counter.note(self.prefix, self.key)
            number = self._exit_counter.next()
        except OSError as error:
            log.write("exit.draw_failed", proxy_id=self._proxy_id, errno=error.errno)
            return ConnectFailure.EXHAUSTED
        return socket.inet_ntop(socket.AF_INET6, self._permutation.address(self._proxy_id, number).to_bytes(16))


class SessionExit(RandomExit):
    """A random address for every session, kept for a while after its last connection. Without a session, as
    RandomExit."""

    def __init__(self, record: Record, exit_counter: ExitCounter) -> None:
        super().__init__(record, exit_counter)
        self.ttl_s = record.exit.session_ttl_s or SESSION_TTL_S
        self.generation = record.exit.generation
        self._leases: dict[bytes, Lease] = {}
        self._idle: dict[bytes, float] = {}

    def address(self, client: SessionLease, now: float) -> str | ConnectFailure | None:
        if client.session is None:
            return self.draw()
        lease = self._lease(client.session, now)
        if isinstance(lease, ConnectFailure):
            return lease
        if client.lease is not lease:
            before, client.lease = client.lease, lease
            lease.holders += 1
            self._idle.pop(client.session, None)
            if before is not None:
                before.end(now)
        return lease.address

    def release(self, session: bytes, now: float) -> None:
        """Start the time to live of a session that no connection holds any more."""
        self._idle[session] = now

    def sessions(self) -> list[tuple[str, str]]:
        """(session, address) of all sessions; those in use come last."""
        known = [*self._idle, *(each for each in self._leases if each not in self._idle)]
        return [(session.decode("ascii"), self._leases[session].address) for session in known]

    def adopt(self, sessions: list[tuple[str, str]], now: float) -> None:
        """Take over sessions from another worker; their time to live starts again."""
        for name, address in sessions:
            session = name.encode("ascii")
            if session not in self._leases:
                self._leases[session] = Lease(self, session, address)
                self.release(session, now)

    def _lease(self, session: bytes, now: float) -> Lease | ConnectFailure:
        self._forget_ended(now)
        lease = self._leases.get(session)
        if lease is not None:
            return lease
        if len(self._leases) >= MAX_SESSIONS and not self._forget_oldest():
            return ConnectFailure.EXHAUSTED
        address = self.draw()
        if isinstance(address, ConnectFailure):
            return address
        lease = self._leases[session] = Lease(self, session, address)
        return lease

    def _forget_ended(self, now: float) -> None:
        while self._idle and next(iter(self._idle.values())) + self.ttl_s <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> bool:
        """Forget the session that ended longest ago; False if all are in use."""
        session = next(iter(self._idle), None)
        if session is None:
            return False
        del self._idle[session], self._leases[session]
        return True


def exit_of(record: Record, exit_counter: ExitCounter, before: ExitPolicy | None = None) -> ExitPolicy:
    """Build a record's exit; it keeps the sessions of the previous one, `before`, where they still apply. Raises
    ValueError with a message for people."""
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


def bind_exit(sock: Socket, address: str) -> None:
    """Bind a socket to an address that need not be configured on this host, only routed to it. Raises OSError.

    For IPv4 a local route is enough to bind; IPv6 requires IPV6_FREEBIND. The port is chosen when the destination is
    known, so that connections to each destination can use all ports (ip(7), IP_BIND_ADDRESS_NO_PORT).
    """
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    sock.bind((address, 0))


def _continued(exit_: SessionExit, before: ExitPolicy | None) -> SessionExit:
    """Sessions survive a change of their time to live, but not of their generation."""
    if isinstance(before, SessionExit) and _source(before) == _source(exit_):
        before.ttl_s = exit_.ttl_s
        return before
    return exit_


def _source(exit_: SessionExit) -> tuple[str, bytes, int]:
    return exit_.prefix, exit_.key, exit_.generation
