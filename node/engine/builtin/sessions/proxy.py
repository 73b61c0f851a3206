"""A proxy as a worker runs it."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from node.engine.builtin import log
from node.engine.builtin.accounting.account import Account
from node.engine.builtin.accounting.ledger_entry import LedgerEntry
from node.engine.builtin.net.acceptors import Acceptors
from node.engine.builtin.net.connection import Connection
from node.engine.builtin.net.exits import exit_of
from node.engine.builtin.net.reactor import Reactor, TimedStage
from node.engine.builtin.policy.access import AccessGate, allows
from node.engine.builtin.policy.denied_destinations import denied_destinations
from node.engine.builtin.policy.limits import Suspension, next_change, quota_left, suspension
from node.engine.builtin.policy.records import Record
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.rate_limit import RateLimit


class Proxy:
    """One proxy: its record, its listeners and its open connections. Counts since it was put here.

    `received` and `sent` are from the client's side, as far as the other side's kernel has taken the bytes.
    `rate_limit` is there when bandwidth or traffic is limited, `stop_at` is what may have moved when the traffic is
    used up. `held` is why everybody is refused for now, `turn` when that may change by itself; `slots_taken` counts the
    connections out of those that the proxy may have. `leaving` are clients that have closed their side and got nothing
    since, as those do that have gone, and what they are doing. `quiet_at`: nothing is open, and all is written that
    there was when so many connections had been accepted.
    """

    __slots__ = (
        "accepted",
        "acceptors",
        "account",
        "associations",
        "exit",
        "first_stage",
        "gate",
        "held",
        "leaving",
        "off_limits",
        "open",
        "quiet_at",
        "rate_limit",
        "reactor",
        "received",
        "record",
        "sent",
        "slots_taken",
        "stop_at",
        "turn",
    )

    def __init__(
        self, reactor: Reactor, record: Record, first_stage: Callable[[Client], None], account: Account
    ) -> None:
        self.reactor = reactor
        self.record = record
        self.gate = AccessGate(record.access)
        self.exit = exit_of(record, reactor.exit_counter)
        self.off_limits = denied_destinations(record.destinations, reactor.deny_ports)
        self.first_stage = first_stage
        self.acceptors = Acceptors(reactor, record.id, self, self.welcome)
        # Most of many proxies have no client: an empty dict takes 150 bytes less than an empty set.
        self.open: dict[Client, None] = {}
        self.leaving: dict[Client, TimedStage] = {}
        self.rate_limit: RateLimit | None = None
        self.account = account
        self.held: Suspension | None = None
        self.turn: float | None = None
        self.stop_at: int | None = None
        self.associations = 0
        self.quiet_at = 0
        self.accepted = self.slots_taken = 0
        self.received = self.sent = 0

    def change(self, record: Record, first_stage: Callable[[Client], None]) -> None:
        """Connections that satisfy the new record stay, the others are closed. Raises ValueError, nothing changed."""
        if record.exit != self.record.exit:
            self.exit = exit_of(record, self.reactor.exit_counter, self.exit)
        off = denied_destinations(record.destinations, self.reactor.deny_ports)
        asked_before, self.record, self.first_stage = self.record.access, record, first_stage
        if record.access != asked_before:
            self.gate = AccessGate(record.access)
            for client in [each for each in self.open if each.admitted]:
                if not allows(record.access, client.source, client.credentials):
                    self._close(client)
        if off is not self.off_limits:
            self.off_limits = off
            for client in [each for each in self.open if self.closes(each, _origin_of(each))]:
                self._close(client)

    def renew_off_limits(self) -> None:
        """The node denies other ports now: to new connections."""
        self.off_limits = denied_destinations(self.record.destinations, self.reactor.deny_ports)

    def closes(self, client: Client, origin: Connection | None) -> bool:
        """Whether the client, connected there, went to a destination that is closed to it now."""
        return client.went_to is not None and self.off_limits.closes(client.went_to, _peer_of(origin))

    @property
    def is_watched(self) -> bool:
        """Whether a look has found something that another look may have to take back."""
        return self.held is not None or self.stop_at is not None or self.turn is not None

    def is_due(self, now: float) -> bool:
        """Whether traffic moved or the time has come that a look may find something new."""
        moved = self.account.unbooked(self.received + self.sent)
        return moved > 0 or (self.turn is not None and now >= self.turn)

    def look(self, now: float) -> None:
        """Holds the proxy to its limits, or lets it go again; `now` is the wall clock."""
        limits = self.record.limits
        spent = self.account.book(self.received + self.sent, now)
        left = quota_left(limits, spent, now)
        self.stop_at = self.received + self.sent + left if left is not None else None
        self.turn = next_change(limits, now)
        before, self.held = self.held, suspension(limits, spent, now)
        if self.held is not None and before is None:
            for client in [each for each in self.open if each.admitted]:
                self._close(client)

    def make_room(self) -> None:
        """End what clients have asked for that seem to have gone, for others need their seats."""
        for stage in list(self.leaving.values()):
            try:
                stage.expire()
            except OSError:
                stage.broken()

    def add_spent(self, count: int, now: float) -> None:
        """Traffic of this proxy that another process moved; counted there."""
        self.account.add(count, now)
        self.quiet_at = -1

    def entry(self, now: float) -> LedgerEntry | None:
        """For the ledger; None when nothing has changed."""
        if not self.open and self.quiet_at == self.accepted:
            return None
        self.quiet_at = -1
        entry = self.account.entry(self.received, self.sent, self.accepted, now)
        if entry is None and not self.open:
            self.quiet_at = self.accepted
        return entry

    def begin(self, client: Client) -> None:
        """Have the client's first byte detected, or its next request read."""
        self.first_stage(client)

    def let_go(self, client: Client) -> None:
        """Close a client that is not admitted, for another one has come."""
        self.account.refuse("flood")
        self._close(client)

    def close(self) -> None:
        """The listeners and every open connection."""
        self.acceptors.close()
        for client in list(self.open):
            self._close(client)

    def welcome(self, sock: Socket, source: str) -> None:
        """Take a client that has come; it may have to go again at once."""
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
    """A stage that has a connection to a destination, at least at times."""

    @property
    def origin(self) -> Connection | None: ...


def _origin_of(client: Client) -> Connection | None:
    stage = client.stage
    return stage.origin if isinstance(stage, Connected) else None


def _peer_of(origin: Connection | None) -> str | None:
    """The address at the other end."""
    if origin is None:
        return None
    try:
        return origin.sock.getpeername()[0].partition("%")[0]
    except OSError:
        return None
