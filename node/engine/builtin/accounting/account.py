"""The usage of one proxy since it came to this worker, and its total before."""

import time

from node.engine.builtin.accounting.ledger_entry import LedgerEntry, LedgerKey
from node.engine.builtin.policy.quota_periods import QuotaUsage


class Account:
    """One life of a proxy's counters. `spent` is its traffic of all lives, as of the last `book`.

    If `is_known` is False, earlier traffic could not be read yet, and `spent` is that of this life only.
    """

    __slots__ = ("_booked", "_written", "epoch", "id", "is_known", "refused", "spent")

    def __init__(self, proxy_id: int, before: QuotaUsage | None) -> None:
        self.is_known = before is not None
        spent = before or QuotaUsage()
        self.id = proxy_id
        self.epoch = time.time_ns() // 1000
        self.refused: dict[str, int] = {}
        self.spent = spent
        self._booked = 0
        self._written = (0, 0, 0, 0, spent.total)

    @property
    def key(self) -> LedgerKey:
        return self.id, self.epoch

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def book(self, moved: int, now: float) -> QuotaUsage:
        """Add new traffic to `spent`. `moved` is the total of this life, both directions together; `now` is the wall
        clock."""
        if moved != self._booked:
            self.spent = self.spent.plus(moved - self._booked, now)
            self._booked = moved
        return self.spent

    def unbooked(self, moved: int) -> int:
        """Bytes moved since the last `book`."""
        return moved - self._booked

    def add(self, count: int, now: float) -> None:
        """Add traffic of this proxy that another process moved: it counts against the quota here, and as usage
        there."""
        self.spent = self.spent.plus(count, now)

    def add_earlier(self, before: QuotaUsage, now: float) -> None:
        """Add the traffic of earlier lives, which is known now."""
        self.spent = before.plus(self.spent.total, now)
        self.is_known = True

    def entry(self, received: int, sent: int, connections: int, now: float) -> LedgerEntry | None:
        """The entry for the ledger; None if nothing has changed since the last one that was written, or while `spent`
        is unknown."""
        if not self.is_known:
            return None
        moved = received + sent
        refused = sum(self.refused.values())
        if (received, sent, connections, refused, self.spent.total + moved - self._booked) == self._written:
            return None
        return LedgerEntry(self.id, self.epoch, received, sent, connections, dict(self.refused), self.book(moved, now))

    def mark_written(self, entry: LedgerEntry) -> None:
        """Record that the entry is on disk."""
        refused = sum(entry.refused.values())
        self._written = entry.received_bytes, entry.sent_bytes, entry.connections, refused, entry.spent.total
