"""Keep the logins of nodes at the brokers equal to the database."""

import asyncio
from collections.abc import Callable

import structlog

from master.broker_links.brokers import NodeLogins
from master.broker_links.connections import LinkConnection
from master.db.background import keep_on
from master.db.database import Database
from master.domain.events.log import NewEvent, record_events
from master.errors import DatabaseError
from shared.proxies import NodeId

log = structlog.get_logger()

CHECK_EVERY_S = 20.0


class Logins:
    """The logins of all nodes at all brokers."""

    def __init__(self, database: Database, broker: NodeLogins) -> None:
        self._database, self._broker = database, broker

    async def prepare_broker(self, connection: LinkConnection) -> None:
        """Create exchanges, queues and logins from the database. Its errors count as "not connected".

        A broker that the nodes have left gets nothing: its logins are being deleted.
        """
        if connection.role == "closing":
            return
        try:
            logins = await self._desired()
        except DatabaseError as error:
            raise ConnectionError(f"the logins cannot be read: {error.reason}") from error
        await connection.broker.ensure_all(logins)

    async def keep(self, is_up: Callable[[], bool]) -> None:
        """Restore logins that were deleted or changed at the broker, until cancelled, so that no node stays refused."""

        async def check() -> None:
            await asyncio.sleep(CHECK_EVERY_S)
            if is_up():
                await self._repair()

        await keep_on(check, "logins")

    async def _repair(self) -> None:
        restored = await self._broker.repair_logins(await self._desired())
        if not restored:
            return
        left = await self._desired()  # a node that was removed meanwhile must not keep its new login
        for node_id in restored:
            if node_id not in left:
                await self._broker.remove_node(node_id)
        news = [NewEvent(type="node.login_restored", node_id=node_id) for node_id in restored if node_id in left]
        log.warning("broker.logins_restored", node_ids=restored)
        async with self._database.transaction() as session:
            await record_events(session, news)

    async def _desired(self) -> dict[NodeId, str]:
        async with self._database.session() as session:
            rows = await session.rows("sync.select_logins")
        return {NodeId(row["id"]): row["broker_password_hash"] for row in rows}
