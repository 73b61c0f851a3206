"""A client's connection to a proxy."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from types import MappingProxyType
from typing import Protocol

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.net.connection import IN, OUT, UNWATCHED, Connection
from node.engine.builtin.net.exits import ExitPolicy, Lease
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.net.stage import Stage, TimedStage
from node.engine.builtin.net.tls_socket import TlsSocket
from node.engine.builtin.policy.access import AccessGate, allows_source
from node.engine.builtin.policy.denied_destinations import DeniedDestinations
from node.engine.builtin.policy.limits import Suspension, slot_refusal
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure
from node.engine.builtin.sessions.rate_limit import RateLimit

ConnectionKey = tuple[ExitPolicy, bytes | None, DeniedDestinations]

_REFUSALS = MappingProxyType(
    {
        ConnectFailure.PRIVATE: "destination",
        ConnectFailure.PORT: "port",
        ConnectFailure.CLOSED: "host",
        ConnectFailure.EXHAUSTED: "resources",
    }
)
"""Reasons in usage counters, for failures that are refusals by the proxy itself."""


class ClientProxy(Protocol):
    """The part of a proxy that its clients use; `sessions.proxy.Proxy` implements it and describes each member.

    The protocol keeps this module independent of `proxy`, which imports it.
    """

    account: Account
    associations: int
    exit: ExitPolicy
    gate: AccessGate
    suspension: Suspension | None
    half_closed: "dict[Client, TimedStage]"
    denied: DeniedDestinations
    open: "dict[Client, None]"
    rate_limit: RateLimit | None
    received: int
    record: Record
    slots_taken: int
    sent: int
    stop_at: int | None

    def begin(self, client: "Client") -> None: ...

    def apply_limits(self, now: float) -> None: ...

    def free_slots(self) -> None: ...

    def close_unadmitted(self, client: "Client") -> None: ...


class Client(Connection):
    """A client's connection, which is handled by one `stage` at a time.

    A client that is admitted may use the proxy. `credentials` are those it was admitted with, without the `session`
    named in them. `has_slot`: it is one of the connections that the proxy may have at once; only admitted clients take
    slots. `tls` is the socket of a client that speaks TLS; its bytes are copied, never spliced.
    """

    __slots__ = (
        "admitted",
        "credentials",
        "destination",
        "has_slot",
        "lease",
        "proxy",
        "session",
        "source",
        "stage",
        "tls",
    )

    def __init__(self, reactor: Reactor, sock: Socket, proxy: ClientProxy, source: str) -> None:
        # Not by super().__init__: a line that only ever sees objects of one class runs twice as fast.
        self.reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        self.mask = UNWATCHED
        self.pending = b""
        self.pipe = self.detector = None
        self.bulk = 0
        self.paused = self.ended = self.shut = False
        self.proxy = proxy
        self.source = source
        self.credentials: bytes | None = None
        self.session: bytes | None = None
        self.lease: Lease | None = None
        self.admitted = False
        self.has_slot = False
        self.stage: Stage | None = None
        self.destination: Destination | None = None
        self.tls: TlsSocket | None = None
        proxy.open[self] = None
        reactor.unadmitted.enter(proxy, self)

    def enter(self, stage: Stage) -> None:
        """Make this stage the current one."""
        self.stage = stage
        self.reactor.stages[self.fd] = stage

    def watch(self, mask: int) -> None:
        """As in Connection. TLS may have bytes to send that no stage knows, and may have read ahead."""
        tls = self.tls
        if tls is not None:
            if tls.unsent:
                mask |= OUT
            if mask & IN and tls.readable and tls.on_readable is not None:
                tls.on_readable()
        super().watch(mask)

    def note_bulk(self) -> None:
        if self.tls is None:
            super().note_bulk()

    def take_pipe(self) -> bool:
        return self.tls is None and super().take_pipe()

    def flush(self) -> int:
        if self.tls is not None and not self.pending:
            self.tls.push()
            return 0
        return super().flush()

    def finish(self) -> None:
        """As in Connection. In TLS the end is announced, which may have to wait for room."""
        if self.tls is None:
            super().finish()
        elif not self.shut:
            self.shut = self.tls.say_goodbye()
            if not self.shut:
                self.watch(OUT if self.mask == UNWATCHED else self.mask | OUT)

    def reset(self) -> None:
        if self.tls is not None:
            self.tls.is_broken = True
        super().reset()

    def from_allowed_source(self) -> bool:
        return allows_source(self.proxy.record.access, self.source)

    def admit(self, presented: bytes | None) -> bool:
        """Check credentials, and remember them, because the proxy may change. True if the client may use the proxy."""
        gate = self.proxy.gate
        admission = gate.known.get((self.source, presented)) or gate.admission(self.source, presented)
        if admission is None:
            if self.admitted:
                self.admitted = False
                self.reactor.unadmitted.enter(self.proxy, self)
            self.credentials = self.session = None
            self.proxy.account.refuse("login" if self.from_allowed_source() else "source")
            return False
        if not self.admitted:
            self.mark_admitted()
        self.credentials, self.session = admission
        return True

    def mark_admitted(self) -> None:
        """Mark the client as admitted, so that it is not evicted for others."""
        self.admitted = True
        self.reactor.unadmitted.leave(self)

    def evict(self) -> None:
        """Close this connection, which is not admitted, to make room for another one."""
        self.proxy.close_unadmitted(self)

    def delay(self) -> float:
        """Count a failed login, and return the seconds to wait before answering it."""
        return self.reactor.login_delays.delay(self.proxy.record.id, self.source, self.reactor.now)

    def note_failure(self, failure: ConnectFailure) -> None:
        """Record that the destination was not reached; refusals by the proxy itself are counted."""
        word = _REFUSALS.get(failure)
        if word is not None:
            self.proxy.account.refuse(word)
        if failure is ConnectFailure.EXHAUSTED:
            self.reactor.exhausted("connect.exhausted")

    def take_slot(self) -> Suspension | None:
        """Take one of the proxy's slots. Returns the reason if the client is refused, which is counted; None if it has
        a slot."""
        proxy = self.proxy
        refusal = proxy.suspension
        if refusal is None and not self.has_slot:
            limits = proxy.record.limits
            refusal = slot_refusal(limits, proxy.slots_taken) if limits.connections is not None else None
            if refusal is not None and proxy.half_closed:
                proxy.free_slots()
                refusal = slot_refusal(limits, proxy.slots_taken)
            if refusal is None:
                self.has_slot = True
                proxy.slots_taken += 1
        if refusal is not None:
            proxy.account.refuse(refusal.word)
        return refusal

    def deliver(self) -> int:
        """Flush, and count the bytes."""
        sent = self.flush()
        self.proxy.sent += sent
        return sent

    def mark_half_closed(self, stage: TimedStage) -> None:
        """Record that the client has closed its side: its slot may be freed for others until it is sent more data."""
        if self.has_slot:
            self.proxy.half_closed[self] = stage

    @property
    def connection_key(self) -> ConnectionKey:
        """The properties that two requests must share to use the same connection to an origin."""
        proxy = self.proxy
        return proxy.exit, self.session, proxy.denied

    def drop(self) -> None:
        fd = self.fd
        if fd < 0:
            return
        self.fd = -1
        if self.tls is not None and self.pending:
            self.tls.is_broken = True
        if self.pipe is not None:
            self.release_pipe()
        proxy, reactor = self.proxy, self.reactor
        reactor.stages.pop(fd, None)
        reactor.closing.append(self.sock)
        proxy.open.pop(self, None)
        reactor.sources.leave(self.source)
        if not self.admitted:
            reactor.unadmitted.leave(self)
        if self.has_slot:
            self.has_slot = False
            proxy.slots_taken -= 1
            proxy.half_closed.pop(self, None)
        if self.lease is not None:
            self.lease.end(reactor.now)
            self.lease = None
        self.stage = None
