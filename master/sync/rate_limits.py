"""Shut out nodes that send far more than they may for a while, so that they cannot crowd out the others."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from master.broker_links.brokers import NodeLogins
from master.db.background import keep_on
from master.db.database import Database
from master.domain.events.log import NewEvent, record_events
from shared.bus.envelopes import Incoming
from shared.proxies import NodeId

log = structlog.get_logger()

BURST = 200
"""Messages at once: a node with 10,000 failures reports them in about 30."""
PER_S = 20.0
"""Messages a second without a time limit. A list is sent every 80 ms at most (master.sync.outbox), and a node answers
each with a need-sync and a report; it sends at most five reports a second."""
PATIENCE = 100
"""Messages beyond that are dropped one by one, so many before the sender is shut out."""
PREFETCH = BURST + 56
"""Messages that a master holds at once: all that one sender may have waiting, so that excess messages are dropped as
they come. No more, since a frozen master holds them back."""
HEAVY_BYTES = 1_048_576
"""A body counts as one more message for each of these."""
SHUT_OUT_S = 60
BACKLOG_S = 5.0
"""For so long after a sender was shut out, its messages may have been sent before, so it is not shut out again."""


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """How many messages a sender may still send at `at` (monotonic seconds). Below zero, messages are dropped."""

    left: float
    at: float


def after_message(before: TokenBucket | None, now: float, cost: float) -> TokenBucket:
    """Return the bucket after a message of this cost."""
    if before is None:
        return TokenBucket(BURST - cost, now)
    return TokenBucket(max(-PATIENCE, min(BURST, before.left + (now - before.at) * PER_S) - cost), now)


class RateLimits:
    """Admit or drop each message by its routing key, which the broker has validated.

    Dropping a message is harmless: the node's next report repeats everything.
    """

    def __init__(self, database: Database, broker: NodeLogins) -> None:
        self._database, self._broker = database, broker
        self._buckets: dict[str, TokenBucket] = {}
        self._queued_at: dict[str, float] = {}
        self._flooding: asyncio.Queue[NodeId] = asyncio.Queue()

    def admit(self, message: Incoming) -> bool:
        """Return whether to handle the message."""
        sender, now = message.key.partition(".")[0], time.monotonic()
        before = self._buckets.get(sender)
        after = after_message(before, now, 1 + len(message.body) // HEAVY_BYTES)
        self._buckets[sender] = after
        if after.left >= 0:
            return True
        if before is not None and before.left >= 0:
            log.warning("message.too_many", sender=sender[:40])
        if after.left <= -PATIENCE:
            self._buckets[sender] = replace(after, left=-1)
            self._queue(sender, now)
        return False

    def _queue(self, sender: str, now: float) -> None:
        if now - self._queued_at.get(sender, -BACKLOG_S) < BACKLOG_S:
            return
        self._queued_at[sender] = now
        digits = sender.removeprefix("node-")
        if digits.isascii() and digits.isdecimal() and len(digits) < 19:
            self._flooding.put_nowait(NodeId(int(digits)))

    async def run(self) -> None:
        """Shut out nodes that flood, until cancelled."""
        await keep_on(self._shut_out_next, "rate limits")

    async def _shut_out_next(self) -> None:
        """Shut out the next node. If that fails and the node goes on flooding, it is queued again."""
        await self._shut_out(await self._flooding.get())

    async def _shut_out(self, node_id: NodeId) -> None:
        """Delete the login; it is restored when the time is over. Raises BrokerAway, DatabaseError."""
        async with self._database.transaction() as session:
            row = await session.row("sync.shut_out", node_id=node_id, seconds=timedelta(seconds=SHUT_OUT_S))
            if row is not None:
                details = {"shut_out_s": SHUT_OUT_S}
                await record_events(session, [NewEvent(type="node.flooded", node_id=node_id, details=details)])
        await self._broker.shut_out(node_id)
