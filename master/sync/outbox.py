"""The outbox: a node whose revision is ahead of the sent revision gets a check-sync with its list of proxies.

PostgreSQL's NOTIFY only speeds this up; the poll is the guarantee. A claim holds no lock while a master waits for the
broker: if it dies between the publish and the mark, the node gets its list twice, which does no harm.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import partial

import structlog

from master.broker_links.connections import BrokerLinks, LinkConnection
from master.broker_links.publishing import publish_over
from master.db.background import keep_on
from master.db.database import Database, Row
from master.errors import BrokerAway, DatabaseError
from shared.bus.client import Bus
from shared.bus.envelopes import Outgoing
from shared.bus.failures import BusDown, Unroutable
from shared.messages.bodies import AGREED, CONFIRMS, REQUESTS, WIRE_VERSION, Header
from shared.messages.routes import NODE_EXCHANGE
from shared.messages.writing import encode_pairs
from shared.proxies import NodeId
from shared.tasks import wait_for_event

log = structlog.get_logger()

POLL_S = 1.5
QUIET_S = 0.08
"""Between two lists of one node: the first change is sent at once, a burst that follows is sent as one list."""
BATCH = 200
ROUND_S = 5.0
RESEND_S = 2.0
CLAIM_S = 5.0
"""The lifetime of a claim (claim_unsent): after it another master, or this one, sends the list again."""


class Outbox:
    """Publish check-syncs: for changes, for sweeps and on demand."""

    def __init__(self, database: Database, links: BrokerLinks, cluster: str) -> None:
        self._database, self._links, self._cluster = database, links, cluster
        self._wake = asyncio.Event()
        self._sent: dict[NodeId, tuple[float, int]] = {}

    def wake(self) -> None:
        """Look for changes soon."""
        self._wake.set()

    async def run(self) -> None:
        """Send due lists until cancelled."""
        await keep_on(self._turn, "outbox")

    async def sweep(self) -> None:
        """Compare every node now and then, even without a change, until cancelled."""
        await keep_on(self._sweep_some, "sweep")

    async def _turn(self) -> None:
        woken = self._wake.is_set()
        self._wake.clear()
        sent = await self._send_due() if self._links.is_up else 0
        await wait_for_event(self._wake, QUIET_S + 0.01 if woken or sent else POLL_S)

    async def _sweep_some(self) -> None:
        await asyncio.sleep(ROUND_S)
        if not self._links.is_up:
            return
        async with self._database.session() as session:
            due = await session.rows("sync.claim_sweep", max_rows=BATCH)
        await self._send_all(due)

    async def check(
        self, node_id: NodeId, *, confirm: bool = False, again: bool = True, over: LinkConnection | None = None
    ) -> None:
        """Send this node its list now; with `confirm` it may stop as many proxies as the list does not name.

        Without `again` nothing is sent when the same list went out a moment ago. `over` is where the node was just
        heard; by default the list goes where it was heard last. Raises BusDown, DatabaseError.
        """
        async with self._database.session() as session:
            row = await session.row("sync.desired_list", node_id=node_id, max_rows=CONFIRMS, max_requests=REQUESTS)
        if row is None or not (again or self._is_new(node_id, row["revision"])):
            return
        self._sent[node_id] = (time.monotonic(), row["revision"])
        confirmed = AGREED if confirm else row["removed"]
        towards = [over] if over is not None else self._links.towards(row["broker_rev"])
        await publish_over(towards, partial(self._publish, node_id, row, confirmed))
        await self._mark_sent(node_id, row["revision"])

    async def _mark_sent(self, node_id: NodeId, revision: int) -> None:
        """Mark the list as sent. While a write has the node locked, wait without a connection, which reads may need."""
        until, is_marked = time.monotonic() + CLAIM_S, 0
        while not is_marked and time.monotonic() < until:
            async with self._database.session() as session:
                is_marked = await session.execute(
                    "sync.mark_sent", node_id=node_id, revision=revision, quiet=timedelta(seconds=QUIET_S)
                )
            await asyncio.sleep(0 if is_marked else QUIET_S)

    def _is_new(self, node_id: NodeId, revision: int) -> bool:
        at, sent = self._sent.get(node_id, (0.0, -1))
        return sent != revision or time.monotonic() - at > RESEND_S

    async def _send_due(self) -> int:
        async with self._database.session() as session:
            due = await session.rows("sync.claim_unsent", max_rows=BATCH, away=self._links.away_revs)
        await self._send_all(due)
        return len(due)

    async def _send_all(self, nodes: Sequence[Row]) -> None:
        async with asyncio.TaskGroup() as group:
            for row in nodes:
                group.create_task(self._send(NodeId(row["id"]), row["broker_rev"]))

    async def _send(self, node_id: NodeId, broker_rev: int | None) -> None:
        towards = self._links.towards(broker_rev)
        try:
            async with towards[0].in_flight if towards else nullcontext():
                await self.check(node_id)
        except Unroutable:
            await self._restore_queue(node_id)
        except (BusDown, DatabaseError) as error:
            log.warning("check_sync.not_sent", node_id=node_id, reason=str(error))

    async def _restore_queue(self, node_id: NodeId) -> None:
        """Restore the node's queue; its list is sent when the claim has expired."""
        try:
            async with self._database.session() as session:
                hash_ = await session.value("nodes.select_login", node_id=node_id)
            if hash_ is not None:
                await self._links.brokers.ensure_node(node_id, hash_)
                log.warning("broker.node_queue_restored", node_id=node_id)
        except (BrokerAway, DatabaseError) as error:
            log.warning("check_sync.not_sent", node_id=node_id, reason=str(error))

    async def _publish(self, node_id: NodeId, row: Row, confirm: Iterable[tuple[int, int]], bus: Bus) -> None:
        bodies = encode_pairs(zip(row["ids"], row["versions"], strict=True))
        round_: str | None = None
        for part, body in enumerate(bodies, start=1):
            header = Header(
                v=WIRE_VERSION,
                cluster=self._cluster,
                node=node_id,
                rev=row["revision"],
                part=part,
                parts=len(bodies),
                confirm=tuple((rev, count) for rev, count in confirm),
                ip=row["ip"],
                requests=tuple(row["requests"]),
            )
            message = Outgoing(
                exchange=NODE_EXCHANGE, key=str(node_id), type="check-sync", body=body, header=header, round=round_
            )
            message_id = await bus.publish(message)
            round_ = round_ or message_id
