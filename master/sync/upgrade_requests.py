"""Sends requests to upgrade themselves to nodes."""

import structlog

from master.broker_links.connections import BrokerLinks
from master.broker_links.publishing import publish_over
from master.db.database import Database
from shared.bus.envelopes import Outgoing
from shared.bus.failures import BusDown
from shared.messages.bodies import WIRE_VERSION, Header, UpgradeRequest
from shared.messages.routes import NODE_EXCHANGE
from shared.messages.writing import encode
from shared.proxies import NodeId

log = structlog.get_logger()


class UpgradeRequests:
    """Publishes requests. A lost one is sent again, so a broker that is away is only logged."""

    def __init__(self, database: Database, links: BrokerLinks, cluster: str) -> None:
        self._database, self._links, self._cluster = database, links, cluster

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected."""
        return self._links.is_up

    async def send(self, node_id: NodeId, request: UpgradeRequest) -> None:
        """Send a request to a node. It belongs to no revision of its list."""
        header = Header(v=WIRE_VERSION, cluster=self._cluster, node=node_id, rev=0)
        message = Outgoing(
            exchange=NODE_EXCHANGE, key=str(node_id), type="upgrade", body=encode(request), header=header, round=None
        )
        async with self._database.session() as session:
            broker_rev = await session.value("sync.select_broker_rev", node_id=node_id)
        try:
            await publish_over(self._links.towards(broker_rev), lambda bus: bus.publish(message))
        except BusDown as error:
            log.warning("upgrade.not_sent", node_id=node_id, reason=str(error))
