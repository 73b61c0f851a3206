"""What the API needs of the rest of the master, as far as it needs it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from master.db.database import Database
from master.domain.events.stream import EventStream
from master.domain.monitoring.fleet import Fleet
from master.domain.webhooks.delivery import DeliveryRunner
from master.instruments import Meters
from shared.proxies import NodeId


class Enroller(Protocol):
    """Makes waiting nodes known, and removed ones unknown."""

    async def enrol(
        self, ip: str, port: int, challenge: str, name: str | None, location_id: int | None, labels: dict[str, str]
    ) -> tuple[NodeId, bool]:
        """The node's id, and whether it is new.

        Raises Invalid, NotFound (the location), NameTaken, ChallengeUsed, NodeRefused, NodeUnreachable, NodeTooSlow.
        """
        ...

    async def replace(self, node_id: NodeId, ip: str, port: int, challenge: str) -> None:
        """Have the box that waits there take the node over.

        Raises NotFound, Invalid, ChallengeUsed, PortTaken, EngineMissing, ExitsUsed, NodeRefused, NodeUnreachable,
        NodeTooSlow, BrokerAway.
        """
        ...

    async def remove(self, node_id: NodeId) -> None:
        """Take away the broker's login of a node that is no more. Raises BrokerAway."""
        ...


class Waiter(Protocol):
    """Waits for nodes to confirm."""

    async def until(self, check: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
        """Whether `check` came true in time; it is asked at once, and again when a node has reported."""
        ...


class Syncer(Protocol):
    """Compares nodes with the database."""

    async def check(self, node_id: NodeId, *, confirm: bool) -> None:
        """Have a check-sync sent; `confirm` lets a list pass that the node holds. Raises BusDown."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """All of it, for the handlers.

    `broker_state` is "up" while the broker can be reached, anything else is told as it is. `check_target` is the URL
    that checks ask for through proxies; None: the echo of each proxy's own node.
    """

    database: Database
    enroller: Enroller
    waiter: Waiter
    syncer: Syncer
    feed: EventStream
    deliveries: DeliveryRunner
    meters: Meters
    fleet: Fleet
    broker_state: Callable[[], str]
    check_target: str | None = None
    own_hosts: frozenset[str] = frozenset()
    """Names under which the API may be asked, besides those that no stranger can make lead here."""
    public_url: str | None = None
    """Where customers reach the API's links, without a slash at the end; None: under the Host that was asked."""
