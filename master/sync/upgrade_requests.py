"""Sends requests to upgrade themselves to nodes."""

import structlog

from shared.bus.client import Bus
from shared.bus.envelopes import Outgoing
from shared.bus.failures import BusDown, Unroutable
from shared.messages.bodies import WIRE_VERSION, Header, UpgradeRequest
from shared.messages.routes import NODE_EXCHANGE
from shared.messages.writing import encode
from shared.proxies import NodeId

log = structlog.get_logger()


class UpgradeRequests:
    """Publishes requests. A lost one is sent again, so a broker that is away is only logged."""

    def __init__(self, cluster: str) -> None:
        """`bus` is set before anything is sent."""
        self._cluster = cluster
        self.bus: Bus | None = None

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected."""
        return self.bus is not None and self.bus.state == "up"

    async def send(self, node_id: NodeId, request: UpgradeRequest) -> None:
        """Send a request to a node. It belongs to no revision of its list."""
        if self.bus is None:
            return
        header = Header(v=WIRE_VERSION, cluster=self._cluster, node=node_id, rev=0)
        message = Outgoing(
            exchange=NODE_EXCHANGE, key=str(node_id), type="upgrade", body=encode(request), header=header, round=None
        )
        try:
            await self.bus.publish(message)
        except (BusDown, Unroutable) as error:
            log.warning("upgrade.not_sent", node_id=node_id, reason=str(error))
