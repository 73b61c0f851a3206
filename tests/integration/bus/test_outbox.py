"""Lists of nodes whose rows a write has locked."""

import asyncio

from master.broker import Broker
from master.db.database import Database
from master.sync.outbox import Outbox
from shared.bus.envelopes import Outgoing
from shared.proxies import NodeId
from tests.integration.bus.conftest import CLUSTER
from tests.integration.conftest import Api
from tests.master.one_link import OneLink
from tests.services.postgres import Database as Address


class Line:
    """Takes every message at once."""

    state = "up"

    def __init__(self) -> None:
        self.published = asyncio.Event()

    async def publish(self, message: Outgoing) -> str:
        self.published.set()
        return message.type


async def test_a_list_that_is_sent_during_a_write_of_its_node_keeps_no_connection_from_readers(
    api: Api, database: Address, broker: Broker
):
    node, few, line = NodeId(await api.node()), Database(database.connect, size=2), Line()
    outbox = Outbox(few, OneLink(broker, line), CLUSTER)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        async with few.transaction() as session:
            await session.rows("placement.lock_nodes", ids=[node])
            sending = group.create_task(outbox.check(node))
            await line.published.wait()
            for _ in range(30):
                async with few.session() as reader:
                    await reader.value("proxies.clock")
                await asyncio.sleep(0.01)
            assert not sending.done()
        await sending
    assert await api.rows.fetchval("SELECT sent_revision FROM nodes WHERE id = $1", node) == 1
    await few.close()
