"""Keeps one node from drowning the others: whoever sends far more than it may is shut out for a while."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from master.background import keep_on
from master.broker import Broker
from master.db.database import Database
from master.domain.events.log import NewEvent, record_events
from shared.bus.envelopes import Incoming
from shared.proxies import NodeId

log = structlog.get_logger()

BURST = 200
"""Messages at once: a node with 10,000 failures reports them in about 30."""
PER_S = 20.0
"""Messages a second for as long as it likes. A list goes out every 80 ms at most (master.sync.outbox), and a node
answers each with a need-sync and a report; it melts its reports into five a second."""
PATIENCE = 100
"""Messages beyond that which are dropped one by one before the sender is shut out."""
PREFETCH = BURST + 56
"""Messages that a master holds at once: all that one sender may have waiting, so that what is too many is seen, and
dropped, as it comes. No more, for a master that is frozen sits on them."""
HEAVY_BYTES = 1_048_576
"""A body counts as one message more for each of these."""
SHUT_OUT_S = 60
BACKLOG_S = 5.0
"""For so long after a sender was cut off, what comes of it was sent before: no reason to cut it off again."""


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """What a sender may still send at `at` (monotonic seconds); below zero it is told nothing any more."""

    left: float
    at: float


def spent(before: TokenBucket | None, now: float, cost: float) -> TokenBucket:
    """What is left after a message of this cost."""
    if before is None:
        return TokenBucket(BURST - cost, now)
    return TokenBucket(max(-PATIENCE, min(BURST, before.left + (now - before.at) * PER_S) - cost), now)


class RateLimits:
    """Decides on each message as it comes, by its routing key: that is the one thing of it that the broker has proven.

    Dropping a message is harmless: a node's next report says all of it again.
    """

    def __init__(self, database: Database, broker: Broker) -> None:
        """Share these."""
        self._database, self._broker = database, broker
        self._allowances: dict[str, TokenBucket] = {}
        self._given_up: dict[str, float] = {}
        self._flooding: asyncio.Queue[NodeId] = asyncio.Queue()

    def admit(self, message: Incoming) -> bool:
        """Whether the message may be handled."""
        sender, now = message.key.partition(".")[0], time.monotonic()
        before = self._allowances.get(sender)
        after = spent(before, now, 1 + len(message.body) // HEAVY_BYTES)
        self._allowances[sender] = after
        if after.left >= 0:
            return True
        if before is not None and before.left >= 0:
            log.warning("message.too_many", sender=sender[:40])
        if after.left <= -PATIENCE:
            self._allowances[sender] = replace(after, left=-1)
            self._give_up_on(sender, now)
        return False

    def _give_up_on(self, sender: str, now: float) -> None:
        if now - self._given_up.get(sender, -BACKLOG_S) < BACKLOG_S:
            return
        self._given_up[sender] = now
        digits = sender.removeprefix("node-")
        if digits.isascii() and digits.isdecimal() and len(digits) < 19:
            self._flooding.put_nowait(NodeId(int(digits)))

    async def run(self) -> None:
        """Shut out those that flood, until cancelled."""
        await keep_on(self._shut_out_next, "floods")

    async def _shut_out_next(self) -> None:
        """When it fails for one, that one floods on and is given up on again, or has stopped."""
        await self._shut_out(await self._flooding.get())

    async def _shut_out(self, node_id: NodeId) -> None:
        """The login is made anew with the others when the time is over. Raises BrokerAway, DatabaseError."""
        async with self._database.transaction() as session:
            row = await session.row("sync.shut_out", node_id=node_id, seconds=timedelta(seconds=SHUT_OUT_S))
            if row is not None:
                details = {"shut_out_s": SHUT_OUT_S}
                await record_events(session, [NewEvent(type="node.flooded", node_id=node_id, details=details)])
        await self._broker.shut_out(node_id)
