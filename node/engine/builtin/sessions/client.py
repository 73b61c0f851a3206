"""A client's connection to a proxy."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from types import MappingProxyType
from typing import Protocol

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.net.connection import UNWATCHED, Connection
from node.engine.builtin.net.exits import ExitPolicy, Lease
from node.engine.builtin.net.reactor import Reactor, Stage, TimedStage
from node.engine.builtin.policy.access import AccessGate, allows_source
from node.engine.builtin.policy.denied_destinations import DeniedDestinations
from node.engine.builtin.policy.limits import Suspension, slot_refusal
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure
from node.engine.builtin.sessions.rate_limit import RateLimit

Departure = tuple[ExitPolicy, bytes | None, DeniedDestinations]

_REFUSALS = MappingProxyType(
    {
        ConnectFailure.PRIVATE: "destination",
        ConnectFailure.PORT: "port",
        ConnectFailure.CLOSED: "host",
        ConnectFailure.EXHAUSTED: "resources",
    }
)
"""Words of usage for failures that are refusals of the proxy itself."""


class ClientProxy(Protocol):
    """As much of its proxy as a client's connection works with; see `sessions.proxy.Service` for what each means."""

    account: Account
    associations: int
    exit: ExitPolicy
    gate: AccessGate
    held: Suspension | None
    leaving: "dict[Client, TimedStage]"
    off_limits: DeniedDestinations
    open: "dict[Client, None]"
    rate_limit: RateLimit | None
    received: int
    record: Record
    slots_taken: int
    sent: int
    stop_at: int | None

    def begin(self, client: "Client") -> None: ...

    def look(self, now: float) -> None: ...

    def make_room(self) -> None: ...

    def let_go(self, client: "Client") -> None: ...


class Client(Connection):
    """`credentials` are those it was admitted with, without the `session` named in them; `stage` is what it does now.

    `has_slot`: it is one of the connections that the proxy may have at once; nobody who may not use the proxy takes a
    seat.
    """

    __slots__ = ("admitted", "credentials", "has_slot", "lease", "service", "session", "source", "stage", "went_to")

    def __init__(self, reactor: Reactor, sock: Socket, service: ClientProxy, source: str) -> None:
        # Not by way of Wire: each line that sees objects of one class only is twice as quick.
        self.reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        self.mask = UNWATCHED
        self.pending = b""
        self.pipe = self.flow = None
        self.bulk = 0
        self.held = self.ended = self.shut = False
        self.service = service
        self.source = source
        self.credentials: bytes | None = None
        self.session: bytes | None = None
        self.lease: Lease | None = None
        self.admitted = False
        self.has_slot = False
        self.stage: Stage | None = None
        self.went_to: Destination | None = None
        service.open[self] = None
        reactor.unadmitted.enter(service, self)

    def enter(self, stage: Stage) -> None:
        """From now on this stage has the connection."""
        self.stage = stage
        self.reactor.stages[self.fd] = stage

    def from_allowed_source(self) -> bool:
        return allows_source(self.service.record.access, self.source)

    def admit(self, presented: bytes | None) -> bool:
        """Whether these credentials satisfy the proxy now; remembered, for the proxy may change."""
        gate = self.service.gate
        admission = gate.known.get((self.source, presented)) or gate.admission(self.source, presented)
        if admission is None:
            if self.admitted:
                self.admitted = False
                self.reactor.unadmitted.enter(self.service, self)
            self.credentials = self.session = None
            self.service.account.refuse("login" if self.from_allowed_source() else "source")
            return False
        if not self.admitted:
            self.let_in()
        self.credentials, self.session = admission
        return True

    def let_in(self) -> None:
        """It may use the proxy, and is none of those that may be let go for others."""
        self.admitted = True
        self.reactor.unadmitted.leave(self)

    def evict(self) -> None:
        """Close this connection, which has not been admitted, to make room for another one."""
        self.service.let_go(self)

    def delay(self) -> float:
        """Seconds after which a failed login is to be answered; counted."""
        return self.reactor.login_delays.delay(self.service.record.id, self.source, self.reactor.now)

    def missed(self, failure: ConnectFailure) -> None:
        """The destination was not reached; counted where that is a refusal of this proxy."""
        word = _REFUSALS.get(failure)
        if word is not None:
            self.service.account.refuse(word)
        if failure is ConnectFailure.EXHAUSTED:
            self.reactor.exhausted("dial.exhausted")

    def hold(self) -> Suspension | None:
        """Why this client, who may use the proxy, is refused all the same; counted. None: it has its seat."""
        service = self.service
        hold = service.held
        if hold is None and not self.has_slot:
            limits = service.record.limits
            hold = slot_refusal(limits, service.slots_taken) if limits.connections is not None else None
            if hold is not None and service.leaving:
                service.make_room()
                hold = slot_refusal(limits, service.slots_taken)
            if hold is None:
                self.has_slot = True
                service.slots_taken += 1
        if hold is not None:
            service.account.refuse(hold.word)
        return hold

    def deliver(self) -> int:
        """As `flush`, counted."""
        gone = self.flush()
        self.service.sent += gone
        return gone

    def leave(self, stage: TimedStage) -> None:
        """The client has closed its side; its seat is for others until it has got something more."""
        if self.has_slot:
            self.service.leaving[self] = stage

    @property
    def departure(self) -> Departure:
        """What two requests must have in common to go through one connection."""
        service = self.service
        return service.exit, self.session, service.off_limits

    def drop(self) -> None:
        fd = self.fd
        if fd < 0:
            return
        self.fd = -1
        if self.pipe is not None:
            self.give_pipe()
        service, reactor = self.service, self.reactor
        reactor.stages.pop(fd, None)
        reactor.closing.append(self.sock)
        service.open.pop(self, None)
        reactor.sources.leave(self.source)
        if not self.admitted:
            reactor.unadmitted.leave(self)
        if self.has_slot:
            self.has_slot = False
            service.slots_taken -= 1
            service.leaving.pop(self, None)
        if self.lease is not None:
            self.lease.end(reactor.now)
            self.lease = None
        self.stage = None
