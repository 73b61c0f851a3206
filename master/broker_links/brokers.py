"""The management APIs of all links: a change of a node's login is made at every broker, side by side."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol

import structlog

from master.broker import Broker
from master.broker_links.side_by_side import all_of
from master.errors import BrokerAway
from shared.proxies import NodeId

log = structlog.get_logger()

APPLY_S = 30.0
"""The limit on a change at one broker: a removal is several calls of at most 10 s."""


LinkRole = Literal["new", "used", "closing"]
"""new: no node knows the broker yet. closing: nodes have left it."""
ROLES: tuple[LinkRole, ...] = ("new", "used", "closing")
CREATED: tuple[LinkRole, ...] = ("new", "used")
"""Brokers where logins are created and restored."""


class NodeLogins(Protocol):
    """Logins of nodes, at one broker or at several."""

    async def ensure_node(self, node_id: NodeId, hash_: str) -> None:
        """Create one node's login, queue and binding. Raises BrokerAway."""
        ...

    async def remove_node(self, node_id: NodeId) -> None:
        """Delete the node's login, which closes its connections at once, and its queue. Raises BrokerAway."""
        ...

    async def delete_login(self, node_id: NodeId) -> None:
        """Delete the node's login, which closes its connections at once. Its queue stays. Raises BrokerAway."""
        ...

    async def shut_out(self, node_id: NodeId) -> None:
        """Delete the login of a node that floods the master. Raises BrokerAway."""
        ...

    async def repair_logins(self, nodes: Mapping[NodeId, str]) -> list[NodeId]:
        """Restore logins that were deleted or got another password; return the nodes. Raises BrokerAway."""
        ...


class Brokers:
    """Change logins at every broker. When one is away, the others are done nevertheless, and then BrokerAway is raised.

    A broker that is not used by nodes raises nothing: every connect to a broker makes its logins equal to the database,
    so what it missed is done when it returns. A broker that nodes have left gets no login any more.
    """

    def __init__(self, brokers: Callable[[], Sequence[tuple[Broker, LinkRole]]]) -> None:
        """`brokers` returns the brokers of all links with their roles."""
        self._brokers = brokers

    async def ensure_node(self, node_id: NodeId, hash_: str) -> None:
        """Create one node's login, queue and binding. Raises BrokerAway."""
        await self._each(lambda broker: broker.ensure_node(node_id, hash_), CREATED)

    async def remove_node(self, node_id: NodeId) -> None:
        """Delete the node's login, which closes its connections at once, and its queue. Raises BrokerAway."""
        await self._each(lambda broker: broker.remove_node(node_id))

    async def delete_login(self, node_id: NodeId) -> None:
        """Delete the node's login, which closes its connections at once. Its queue stays. Raises BrokerAway."""
        await self._each(lambda broker: broker.delete_login(node_id))

    async def shut_out(self, node_id: NodeId) -> None:
        """Delete the login of a node that floods the master. Raises BrokerAway."""
        await self._each(lambda broker: broker.shut_out(node_id))

    async def repair_logins(self, nodes: Mapping[NodeId, str]) -> list[NodeId]:
        """Restore logins that were deleted or got another password; return the nodes.

        A broker that is away is left out: its logins are made equal when it is connected again. Raises BrokerAway when
        all are away.
        """
        results = await self._results(lambda broker: broker.repair_logins(nodes), CREATED)
        restored = [each for each, _ in results if isinstance(each, list)]
        if not restored:
            raise away(results[0][0] if results else None)
        return sorted({node_id for each in restored for node_id in each})

    async def _each(self, act: Callable[[Broker], Awaitable[None]], roles: Collection[LinkRole] = ROLES) -> None:
        results = await self._results(act, roles)
        if not results:
            raise away(None)
        for result, role in results:
            if isinstance(result, Exception) and role == "used":
                raise away(result)
            if isinstance(result, Exception):
                log.info("broker.change_postponed", reason=str(result))

    async def _results(
        self, act: Callable[[Broker], Awaitable[list[NodeId] | None]], roles: Collection[LinkRole]
    ) -> list[tuple[list[NodeId] | Exception | None, LinkRole]]:
        brokers = [each for each in self._brokers() if each[1] in roles]
        acts = [lambda broker=broker: act(broker) for broker, _ in brokers]
        results = await all_of(acts, failures=(BrokerAway,), timeout_s=APPLY_S)
        return [(result, role) for result, (_, role) in zip(results, brokers, strict=True)]


def away(error: object) -> BrokerAway:
    """Return the error of a change that one broker has not made."""
    if isinstance(error, BrokerAway):
        return error
    return BrokerAway("the management API of a broker did not answer in time" if error else "no broker is known yet")
