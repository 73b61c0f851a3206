"""Carry a move of the broker on: wait for every master, ask nodes to move, delete logins at the broker that was left.

A node is asked over the link by which it was heard last, again with back-off until it reports the new revision. The
requests of all masters together are claimed in the database, a few at a time, so that a large fleet does not log in at
the new broker at once.
"""

import asyncio
import time
from datetime import timedelta

import structlog

from master.broker_links.clean_up import clean_up
from master.broker_links.connections import BrokerLinks, LinkConnection
from master.broker_links.links import BrokerLink
from master.broker_links.publishing import publish_over
from master.db.background import keep_on
from master.db.database import Database
from master.domain.broker_links.new_link import config_of
from master.domain.broker_links.service import MASTER_SILENT
from master.errors import BrokerAway
from shared.bus.envelopes import Outgoing
from shared.bus.failures import BusDown
from shared.messages.bodies import WIRE_VERSION, Header
from shared.messages.routes import NODE_EXCHANGE
from shared.messages.writing import encode
from shared.proxies import NodeId

log = structlog.get_logger()

STEP_EVERY_S = 0.5
ASK_EVERY_S = 5.0
"""Time between two looks for nodes at an older link while no move is under way."""
BATCH = 20
"""Nodes that a master asks in a turn, so 40 a second."""
HEARTBEAT = timedelta(seconds=12)
"""Time between the end of a move and the removal of logins: what was on its way to the former broker has arrived."""
GIVE_UP = timedelta(minutes=10)
"""Time for which a broker that was left may be away before its logins are given up."""


class BrokerMoves:
    """Take steps of moves until cancelled. Each step is repeated by any master if the one that takes it is killed."""

    def __init__(
        self, database: Database, links: BrokerLinks, cluster: str, *, heartbeat: timedelta = HEARTBEAT
    ) -> None:
        self._database, self._links, self._cluster = database, links, cluster
        self.heartbeat = heartbeat
        self._asked_at = -ASK_EVERY_S

    async def run(self) -> None:
        """Run until cancelled."""
        await keep_on(self._turn, "broker moves")

    async def _turn(self) -> None:
        await self.step()
        await asyncio.sleep(STEP_EVERY_S)

    async def step(self) -> None:
        """Take one step of everything that is under way. Raises DatabaseError."""
        states = {link.state for link in self._links.links}
        if "new" in states:
            await self._begin()
        is_due = "both" in states or time.monotonic() - self._asked_at >= ASK_EVERY_S
        if is_due and self._links.target.rev > 0 and self._links.is_up:
            self._asked_at = time.monotonic()
            await self._ask_nodes(self._links.target)
        for each in self._links.connections:
            if each.role == "closing":
                await self._leave(each)

    async def _begin(self) -> None:
        """Let nodes move as soon as every master is connected to both brokers. Raises DatabaseError."""
        async with self._database.session() as session:
            begun = await session.rows("broker_moves.begin", silent=MASTER_SILENT)
        for row in begun:
            log.info("broker_link.move_begun", rev=row["rev"])
            self._links.wake()

    async def _ask_nodes(self, link: BrokerLink) -> None:
        async with self._database.session() as session:
            due = await session.rows(
                "broker_moves.claim_nodes",
                rev=link.rev,
                away=self._links.away_revs,
                silent=MASTER_SILENT,
                max_rows=BATCH,
            )
        async with asyncio.TaskGroup() as group:
            for row in due:
                group.create_task(self._ask(NodeId(row["id"]), row["broker_rev"], link))

    async def _ask(self, node_id: NodeId, broker_rev: int | None, link: BrokerLink) -> None:
        header = Header(v=WIRE_VERSION, cluster=self._cluster, node=node_id, rev=0)
        body = encode(config_of(link, node_id))
        message = Outgoing(exchange=NODE_EXCHANGE, key=str(node_id), type="config", body=body, header=header)
        try:
            await publish_over(self._links.towards(broker_rev), lambda bus: bus.publish(message))
        except BusDown as error:
            log.warning("config.not_sent", node_id=node_id, reason=str(error))
        else:
            log.info("config.sent", node_id=node_id, rev=link.rev)

    async def _leave(self, left: LinkConnection) -> None:
        """Delete the nodes' logins at a broker that they have left, unless another master is doing it."""
        async with self._database.session() as session:
            claimed = await session.rows(
                "broker_moves.claim_left", revs=[link.rev for link in left.links], age=self.heartbeat
            )
        if not claimed:
            return
        reason = None
        try:
            await clean_up(left, [each for each in self._links.connections if each is not left])
        except BrokerAway as error:
            reason = f"the nodes' logins there could not be deleted: {error.reason}"
            if claimed[0]["age"] < GIVE_UP:
                log.warning("broker_link.not_left_yet", addresses=left.links[0].broker.bare_urls, reason=error.reason)
                return
        async with self._database.session() as session:
            await session.execute("broker_moves.mark_left", revs=[row["rev"] for row in claimed], left_over=reason)
        self._links.wake()
