"""One proxy as a worker runs it."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from node.engine.builtin import log
from node.engine.builtin.accounting.account import Account
from node.engine.builtin.accounting.ledger_entry import LedgerEntry
from node.engine.builtin.net.acceptors import Acceptors
from node.engine.builtin.net.connection import Connection
from node.engine.builtin.net.exits import exit_of
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.net.stage import TimedStage
from node.engine.builtin.policy.access import AccessGate, allows
from node.engine.builtin.policy.denied_destinations import denied_destinations
from node.engine.builtin.policy.limits import Suspension, next_change, quota_left, suspension
from node.engine.builtin.policy.records import Record
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.rate_limit import RateLimit


class Proxy:
    """One proxy: its record, its listeners, its open connections, and its counters since it came to this worker."""

    __slots__ = (
        "accepted",
        "acceptors",
        "account",
        "associations",
        "changes_at",
        "denied",
        "exit",
        "first_stage",
        "gate",
        "half_closed",
        "open",
        "quiet_at",
        "rate_limit",
        "reactor",
        "received",
        "record",
        "sent",
        "slots_taken",
        "stop_at",
        "suspension",
    )

    def __init__(
        self, reactor: Reactor, record: Record, first_stage: Callable[[Client], None], account: Account
    ) -> None:
        self.reactor = reactor
        self.record = record
        self.gate = AccessGate(record.access)
        self.exit = exit_of(record, reactor.exit_counter)
        self.denied = denied_destinations(record.destinations, reactor.deny_ports)
        self.first_stage = first_stage
        self.acceptors = Acceptors(reactor, record.id, self, self.accept)
        # Most proxies have no client: an empty dict takes 150 bytes less than an empty set.
        self.open: dict[Client, None] = {}
        self.half_closed: dict[Client, TimedStage] = {}
        """Clients that have closed their side and received nothing since, as clients do that have gone."""
        self.rate_limit: RateLimit | None = None
        """Present if bandwidth or traffic is limited."""
        self.account = account
        self.suspension: Suspension | None = None
        """Why all clients are refused at the moment."""
        self.changes_at: float | None = None
        """When `suspension` may change without any traffic."""
        self.stop_at: int | None = None
        """The sum of `received` and `sent` at which the traffic is used up."""
        self.associations = 0
        self.quiet_at = 0
        """The value of `accepted` when nothing was open and everything was in the ledger; -1 if that is not so."""
        self.accepted = self.slots_taken = 0
        self.received = self.sent = 0
        """Bytes from and to clients, as far as the receiver's kernel has taken them."""

    def change(self, record: Record, first_stage: Callable[[Client], None]) -> None:
        """Apply a new record. Connections that satisfy it stay, the others are closed. Raises ValueError with nothing
        changed."""
        if record.exit != self.record.exit:
            self.exit = exit_of(record, self.reactor.exit_counter, self.exit)
        denied = denied_destinations(record.destinations, self.reactor.deny_ports)
        previous_access, self.record, self.first_stage = self.record.access, record, first_stage
        if record.access != previous_access:
            self.gate = AccessGate(record.access)
            for client in [each for each in self.open if each.admitted]:
                if not allows(record.access, client.source, client.credentials):
                    self._close(client)
        if denied is not self.denied:
            self.denied = denied
            for client in [each for each in self.open if self.closes(each, _origin_of(each))]:
                self._close(client)

    def update_denied(self) -> None:
        """Apply changed ports of the node to new connections."""
        self.denied = denied_destinations(self.record.destinations, self.reactor.deny_ports)

    def closes(self, client: Client, origin: Connection | None) -> bool:
        """Whether the client's connection goes to a destination that is closed to it now."""
        return client.destination is not None and self.denied.closes(client.destination, _peer_of(origin))

    @property
    def is_watched(self) -> bool:
        """Whether limits were applied that may have to be lifted again."""
        return self.suspension is not None or self.stop_at is not None or self.changes_at is not None

    def is_due(self, now: float) -> bool:
        """Whether applying the limits may have a new result."""
        moved = self.account.unbooked(self.received + self.sent)
        return moved > 0 or (self.changes_at is not None and now >= self.changes_at)

    def apply_limits(self, now: float) -> None:
        """Apply the limits: suspend the proxy or let it serve again. `now` is the wall clock."""
        limits = self.record.limits
        spent = self.account.book(self.received + self.sent, now)
        left = quota_left(limits, spent, now)
        self.stop_at = self.received + self.sent + left if left is not None else None
        self.changes_at = next_change(limits, now)
        before, self.suspension = self.suspension, suspension(limits, spent, now)
        if self.suspension is not None and before is None:
            for client in [each for each in self.open if each.admitted]:
                self._close(client)

    def free_slots(self) -> None:
        """End the requests of clients that seem to have gone, because others need their slots."""
        for stage in list(self.half_closed.values()):
            try:
                stage.expire()
            except OSError:
                stage.abort()

    def add_spent(self, count: int, now: float) -> None:
        """Add traffic of this proxy that another process has moved and counts."""
        self.account.add(count, now)
        self.quiet_at = -1

    def entry(self, now: float) -> LedgerEntry | None:
        """The entry for the ledger; None if nothing has changed."""
        if not self.open and self.quiet_at == self.accepted:
            return None
        self.quiet_at = -1
        entry = self.account.entry(self.received, self.sent, self.accepted, now)
        if entry is None and not self.open:
            self.quiet_at = self.accepted
        return entry

    def begin(self, client: Client) -> None:
        """Start the client's first stage."""
        self.first_stage(client)

    def close_unadmitted(self, client: Client) -> None:
        """Close a client that is not admitted, because another one has arrived."""
        self.account.refuse("flood")
        self._close(client)

    def close(self) -> None:
        """Close the listeners and all open connections."""
        self.acceptors.close()
        for client in list(self.open):
            self._close(client)

    def accept(self, sock: Socket, source: str) -> None:
        """Take a new client, which may be refused at once."""
        self.accepted += 1
        if not self.reactor.sources.enter(source):
            self.account.refuse("flood")
            sock.close()
            return
        client = Client(self.reactor, sock, self, source)
        surplus = self.reactor.unadmitted.surplus(self)
        if surplus is not None:
            surplus.evict()
        try:
            self.first_stage(client)
        except OSError:
            self._close(client)
        except Exception as error:  # noqa: BLE001 (a fault in one connection ends that connection only)
            log.fault("connection.fault", error)
            self.reactor.faults += 1
            self._close(client)

    def _close(self, client: Client) -> None:
        if client.stage is not None:
            client.stage.close()
        else:
            client.drop()


@runtime_checkable
class Connected(Protocol):
    """A stage with a connection to a destination, at least at times."""

    @property
    def origin(self) -> Connection | None: ...


def _origin_of(client: Client) -> Connection | None:
    stage = client.stage
    return stage.origin if isinstance(stage, Connected) else None


def _peer_of(origin: Connection | None) -> str | None:
    """The peer's address."""
    if origin is None:
        return None
    try:
        return origin.sock.getpeername()[0].partition("%")[0]
    except OSError:
        return None
