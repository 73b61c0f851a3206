"""The loop that carries drains on, each drain by one master at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import structlog

from master.db.background import keep_on
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
"""The pause between two turns, however many reports come."""
CLAIM = timedelta(seconds=QUIET_S)
MAX_DRAINS = 50
"""Drains of one turn."""


class DrainRunner:
    """Take steps of drains until cancelled. The rotations that it starts are carried on by the rotation runner."""

    def __init__(
        self, database: Database, notifications: Notifications, forget: Callable[[NodeId], Awaitable[None]]
    ) -> None:
        """`forget` deletes the broker login of a removed node. It raises BrokerAway."""
        self._database, self._notifications, self._forget = database, notifications, forget

    async def run(self) -> None:
        """Run until cancelled."""
        with self._notifications.reports() as heard:
            await keep_on(partial(self._turn, heard), "drains")

    async def _turn(self, heard: asyncio.Event) -> None:
        await self.step()
        await wait_for_event(heard, POLL_S)
        heard.clear()
        await asyncio.sleep(QUIET_S)

    async def step(self) -> None:
        """Take one step of each drain that no other master has claimed. A step that fails delays no other.

        Raises DatabaseError.
        """
        async with self._database.session() as session:
            claimed = await session.rows("drain.claim", max_rows=MAX_DRAINS, quiet=CLAIM)
        for row in claimed:
            try:
                await self._carry_on(NodeId(row["node_id"]))
            except DatabaseAway:
                raise
            except (RequestRefused, DatabaseError) as error:
                log.warning("drain.step_postponed", node_id=row["node_id"], reason=str(error))

    async def _carry_on(self, node_id: NodeId) -> None:
        async with self._database.session() as session:
            row = await drain_steps.select_drain(session, node_id)
        if row is None:
            return
        if drain_steps.may_start_more(row):
            async with writing(self._database) as session:
                is_unused = await drain_steps.request_rotations(session, node_id)
            if is_unused:
                async with writing(self._database) as session:
                    await drain_steps.move_unused(session, node_id)
        if drain_steps.is_due(row):
            async with writing(self._database) as session:
                is_gone = await drain_steps.finish(session, node_id)
            if is_gone:
                await self._cut_off(node_id)

    async def _cut_off(self, node_id: NodeId) -> None:
        log.info("node.drained_and_removed", node_id=node_id)
        try:
            await self._forget(node_id)
        except BrokerAway as error:
            log.warning("node.login_not_deleted", node_id=node_id, reason=error.reason)
