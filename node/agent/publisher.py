"""What the node says to its master: every message under the headers of its own list."""

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
    """One node's way up. `bus` is set while there is a link; `round` is that of the last list."""

    def __init__(self, node_id: NodeId, cluster: str, copy: LocalCopy) -> None:
        """The node's id and its cluster never change; of the copy the revision is told."""
        self.node_id, self.cluster, self._copy = node_id, cluster, copy
        self.bus: Bus | None = None
        self.round: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether saying something is worth a try."""
        return self.bus is not None and self.bus.state == "up"

    async def say(self, type_: MessageType, body: bytes) -> bool:
        """True when the broker took it; all that is lost is asked or told again."""
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
