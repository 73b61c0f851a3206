"""Looks after the nodes that drain by moving their proxies, each by one master at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import structlog

from master.background import keep_on
from master.db.constraints import writing
from master.db.database import Database
from master.db.notifications import Notifications
from master.domain.nodes import drain_steps
from master.errors import BrokerAway, DatabaseAway, DatabaseError, RequestRefused
from shared.proxies import NodeId
from shared.tasks import wait_for_event

log = structlog.get_logger()

POLL_S = 1.0
QUIET_S = 0.25
"""Between two looks, however much is heard."""
CLAIM = timedelta(seconds=QUIET_S)
MOST = 50
"""Drains in one look."""


class DrainRunner:
    """One loop; what it has begun goes on as rotations."""

    def __init__(self, database: Database, waiter: Notifications, forget: Callable[[NodeId], Awaitable[None]]) -> None:
        """`forget` takes the broker's login of a node that has gone. It raises BrokerAway."""
        self._database, self._waiter, self._forget = database, waiter, forget

    async def run(self) -> None:
        """Until cancelled."""
        with self._waiter.reports() as heard:
            await keep_on(partial(self._turn, heard), "drains")

    async def _turn(self, heard: asyncio.Event) -> None:
        await self.look()
        await wait_for_event(heard, POLL_S)
        heard.clear()
        await asyncio.sleep(QUIET_S)

    async def look(self) -> None:
        """One step of each drain that nobody else looks after now; one that fails holds up no other.

        Raises DatabaseError.
        """
        async with self._database.session() as session:
            claimed = await session.rows("drain.claim", most=MOST, quiet=CLAIM)
        for row in claimed:
            try:
                await self._carry_on(NodeId(row["node_id"]))
            except DatabaseAway:
                raise
            except (RequestRefused, DatabaseError) as error:
                log.warning("drain.step_put_off", node_id=row["node_id"], reason=str(error))

    async def _carry_on(self, node_id: NodeId) -> None:
        async with self._database.session() as session:
            row = await drain_steps.look(session, node_id)
        if row is None:
            return
        if drain_steps.has_room(row):
            async with writing(self._database) as session:
                is_unused = await drain_steps.ask(session, node_id)
            if is_unused:
                async with writing(self._database) as session:
                    await drain_steps.place(session, node_id)
        if drain_steps.is_due(row):
            async with writing(self._database) as session:
                is_gone = await drain_steps.finish(session, node_id)
            if is_gone:
                await self._cut_off(node_id)

    async def _cut_off(self, node_id: NodeId) -> None:
        log.info("node.left", node_id=node_id)
        try:
            await self._forget(node_id)
        except BrokerAway as error:
            log.warning("node.login_left", node_id=node_id, reason=error.reason)
