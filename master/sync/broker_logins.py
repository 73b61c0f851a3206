"""Keeps the broker's logins of nodes as the database has them."""

import asyncio
from collections.abc import Callable

import structlog

from master.background import keep_on
from master.broker import Broker
from master.db.database import Database
from master.domain.events.log import NewEvent, record_events
from master.errors import DatabaseError
from shared.proxies import NodeId

log = structlog.get_logger()

LOOK_EVERY_S = 20.0


class Logins:
    """Of all nodes."""

    def __init__(self, database: Database, broker: Broker) -> None:
        """The database says which there shall be."""
        self._database, self._broker = database, broker

    async def prepare_broker(self) -> None:
        """Make exchanges, queues and logins out of the database. Its errors count as "not connected"."""
        try:
            logins = await self._wanted()
        except DatabaseError as error:
            raise ConnectionError(f"the logins cannot be read: {error.reason}") from error
        await self._broker.ensure_all(logins)

    async def keep(self, is_up: Callable[[], bool]) -> None:
        """Make logins anew that somebody deleted at the broker: such a node would be refused for ever."""

        async def look() -> None:
            await asyncio.sleep(LOOK_EVERY_S)
            if is_up():
                await self._mend()

        await keep_on(look, "logins")

    async def _mend(self) -> None:
        made = await self._broker.mend_logins(await self._wanted())
        if not made:
            return
        left = await self._wanted()  # a node that was removed meanwhile must not keep what was just made
        for node_id in made:
            if node_id not in left:
                await self._broker.remove_node(node_id)
        news = [NewEvent(type="node.login_restored", node_id=node_id) for node_id in made if node_id in left]
        log.warning("broker.logins_made_anew", node_ids=made)
        async with self._database.transaction() as session:
            await record_events(session, news)

    async def _wanted(self) -> dict[NodeId, str]:
        async with self._database.session() as session:
            rows = await session.rows("sync.select_logins")
        return {NodeId(row["id"]): row["broker_password_hash"] for row in rows}
