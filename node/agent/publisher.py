"""Publisher of the node's messages to its master, with the revision of the node's list in the headers."""

import structlog

from node.state.local_copy import LocalCopy
from shared.bus.client import Bus
from shared.bus.envelopes import Outgoing
from shared.bus.failures import BusDown
from shared.messages.bodies import WIRE_VERSION, Header, MessageType
from shared.messages.routes import MASTER_EXCHANGE, report_key
from shared.proxies import NodeId

log = structlog.get_logger()


class Publisher:
    """Sends messages to the master. `bus` is set by its owner; `round` is the correlation id of the last list."""

    def __init__(self, node_id: NodeId, cluster: str, copy: LocalCopy) -> None:
        """`copy` provides the revision for the headers."""
        self.node_id, self.cluster, self._copy = node_id, cluster, copy
        self.bus: Bus | None = None
        self.round: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected."""
        return self.bus is not None and self.bus.state == "up"

    async def publish(self, type_: MessageType, body: bytes) -> bool:
        """Publish a message; False when the broker did not take it. The caller repeats lost messages later."""
        if self.bus is None:
            return False
        message = Outgoing(
            exchange=MASTER_EXCHANGE,
            key=report_key(self.node_id, type_),
            type=type_,
            body=body,
            header=Header(v=WIRE_VERSION, cluster=self.cluster, node=self.node_id, rev=self._copy.rev),
            round=self.round,
        )
        try:
            await self.bus.publish(message)
        except BusDown as error:
            log.debug("message.not_sent", type=type_, reason=str(error))
            return False
        return True
