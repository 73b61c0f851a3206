"""What the routes of nodes need of the programs around them; `master.asgi` provides it."""

from dataclasses import dataclass
from typing import Protocol

from shared.proxies import NodeId


class Enroller(Protocol):
    """Enrols waiting nodes, and revokes the login of removed ones."""

    async def enrol(
        self, ip: str, port: int, challenge: str, name: str | None, location_id: int | None, labels: dict[str, str]
    ) -> tuple[NodeId, bool]:
        """Enrol the waiting node; return its id, and whether it is new.

        Raises Invalid (also for an unknown location), NameTaken, ChallengeUsed, NodeRefused, NodeUnreachable,
        NodeTooSlow.
        """
        ...

    async def replace(self, node_id: NodeId, ip: str, port: int, challenge: str) -> None:
        """Let the host that waits there take over the node.

        Raises NotFound, Invalid, ChallengeUsed, PortTaken, EngineMissing, ExitsUsed, NodeRefused, NodeUnreachable,
        NodeTooSlow, BrokerAway.
        """
        ...

    async def remove(self, node_id: NodeId) -> None:
        """Delete the broker's login of a node that was removed. Raises BrokerAway."""
        ...


@dataclass(frozen=True, slots=True)
class InstallSource:
    """Where hosts find this master, and the installer that they get there; None: this master serves none."""

    url: str
    script: bytes | None = None


class Syncer(Protocol):
    """Compares nodes with the database."""

    async def check(self, node_id: NodeId, *, confirm: bool) -> None:
        """Send a check-sync to the node; `confirm` releases a list that the node holds back. Raises BusDown."""
        ...
