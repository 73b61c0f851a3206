"""What upgrades need of the program around them."""

from typing import Protocol

from shared.messages.bodies import UpgradeRequest
from shared.proxies import NodeId


class UpgradeSender(Protocol):
    """Sends requests to nodes."""

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected, so that nodes can be heard."""
        ...

    async def send(self, node_id: NodeId, request: UpgradeRequest) -> None:
        """Send a request. One that is lost is sent again later."""
        ...
