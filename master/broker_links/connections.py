"""The connections of this master to the brokers of all links in use.

The table is read every second, so that a move begins and ends on every master without a message. Links that agree in
addresses, login and authority share one connection: an aborted move returns to the one that is there.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import structlog

from master.broker import Broker
from master.broker_links.brokers import Brokers, LinkRole
from master.broker_links.links import (
    USED,
    BrokerLink,
    counting_links,
    link_from_row,
    link_in_use,
    outdated_settings,
    present,
    target,
)
from master.db.background import keep_on
from master.db.database import Database
from master.settings import QueueType
from shared.bus.client import Bus
from shared.messages.bodies import BrokerReport
from shared.tasks import run_until, wait_for_event

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
IN_FLIGHT = 16
"""Lists that are sent over one connection at once, so that a broker that is stuck holds up nodes of its own alone."""


class LinkConnection:
    """A broker and the bus to it, for the `links` that lead there by the same addresses."""

    def __init__(self, links: Sequence[BrokerLink], broker: Broker) -> None:
        """`bus` is set before the first message. `all_links` are those that the master knows, also old ones."""
        self.links = self.all_links = tuple(links)
        self.broker, self.ended = broker, asyncio.Event()
        self.in_flight = asyncio.Semaphore(IN_FLIGHT)
        self.bus = cast(Bus, None)

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected."""
        return self.bus.state == "up"

    @property
    def role(self) -> LinkRole:
        """The role of the broker in a move."""
        states = {link.state for link in self.links}
        return "used" if states & set(USED) else "new" if "new" in states else "closing"

    def used_rev(self, report: BrokerReport | None) -> int:
        """Return the revision of the link that a node uses whose report came over this connection."""
        return link_in_use(self.all_links, self.links, report)

    def confirms(self, report: BrokerReport | None) -> bool:
        """Whether a node that reports this here waits to hear that its move to the newest link was noticed."""
        if report is None or report.state != "trial":
            return False
        return report.rev == target(self.all_links).rev == self.used_rev(report)


Opener = Callable[[LinkConnection], Bus]


class BrokerLinks:
    """Stay connected to the broker of each link in use. Before the table was read there is none."""

    def __init__(
        self, database: Database, configured: BrokerLink, opener: Opener, *, queue_type: QueueType = "classic"
    ) -> None:
        """`opener` makes the bus of a connection. `configured` is the link of the settings."""
        self._database, self.configured, self._opener = database, configured, opener
        self._queue_type: QueueType = queue_type
        self._woken = asyncio.Event()
        self._reported: frozenset[int] = frozenset()
        self.links: tuple[BrokerLink, ...] = (configured,)
        self.connections: tuple[LinkConnection, ...] = ()
        self.brokers = Brokers(lambda: [(each.broker, each.role) for each in self.connections])
        self.changed: Callable[[], None] = lambda: None
        """Called when this master came up at a link, or lost one."""

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            await keep_on(partial(self._turn, group), "broker links")

    def wake(self) -> None:
        """Look at the table and at the connections soon."""
        self._woken.set()

    @property
    def target(self) -> BrokerLink:
        """The link that nodes move to or use."""
        return target(self.links)

    @property
    def up_revs(self) -> frozenset[int]:
        """The revisions of links whose broker is connected."""
        return frozenset(link.rev for each in self.connections if each.is_up for link in each.links)

    @property
    def away_revs(self) -> list[int]:
        """The revisions of links in use, whose broker is not connected; others may be able to reach it."""
        return sorted({link.rev for link in self.links if link.state in USED} - self.up_revs)

    @property
    def is_up(self) -> bool:
        """Whether any broker that nodes use is connected."""
        return any(each.is_up for each in self._used)

    @property
    def state(self) -> str:
        """`up`, or the state of a broker that nodes use and this master does not reach."""
        states = [each.bus.state for each in self._used]
        return next((state for state in states if state != "up"), "up" if states else "connecting")

    @property
    def broker_version(self) -> str | None:
        """The version of the broker that nodes move to or use; None before the first connection."""
        found = [each.bus.broker_version for each in self._used if self.target in each.links]
        return found[0] if found else None

    def towards(self, rev: int | None) -> Sequence[LinkConnection]:
        """Return the connection of the link by which a node was heard last; all in use while that is unknown."""
        known = next((link for link in self.links if link.rev == rev), None)
        if known is None:
            return self._used
        same = [each for each in self._used if known.content == each.links[0].content]
        near = [each for each in self._used if known.queues == each.links[0].queues]
        return same[:1] if same and (same[0].is_up or not near) else near or self._used

    @property
    def _used(self) -> list[LinkConnection]:
        return [each for each in self.connections if each.role == "used"]

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        await self._look(group)
        if self.up_revs != self._reported:
            self._reported = self.up_revs
            self.changed()
        await wait_for_event(self._woken, LOOK_EVERY_S)
        self._woken.clear()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        """Read the table, open what is missing and end what is not in use any more. Raises DatabaseError."""
        async with self._database.session() as session:
            rows = [link_from_row(row) for row in await session.rows("broker_links.select_all")]
        links = counting_links(rows, self.configured)
        if links != self.links:
            self._log_outdated(links)
        wanted: dict[tuple[object, ...], list[BrokerLink]] = {}
        for link in links:
            if link.state != "old":
                wanted.setdefault(link.content, []).append(link)
        kept = {each.links[0].content: each for each in self.connections}
        for content in kept.keys() - wanted.keys():
            kept.pop(content).ended.set()
        for content, own in wanted.items():
            connection = kept.get(content) or self._open(group, own)
            connection.links, connection.all_links = tuple(own), links
            kept[content] = connection
        self.links, self.connections = links, tuple(kept[content] for content in wanted)

    def _open(self, group: asyncio.TaskGroup, links: Sequence[BrokerLink]) -> LinkConnection:
        connection = LinkConnection(links, Broker(links[0].management, self._queue_type))
        connection.bus = self._opener(connection)
        group.create_task(self._serve(connection))
        log.info("broker_link.opened", revs=[link.rev for link in links], addresses=links[0].broker.bare_urls)
        return connection

    async def _serve(self, connection: LinkConnection) -> None:
        try:
            await run_until(connection.ended, connection.bus.run)
        finally:
            await connection.broker.close()
        log.info("broker_link.closed", addresses=connection.links[0].broker.bare_urls)

    def _log_outdated(self, links: Sequence[BrokerLink]) -> None:
        """Log which settings of this master are not those of the link that counts."""
        if any(link.state in ("new", "both") for link in links):
            return
        if wrong := outdated_settings(present(links), self.configured):
            log.warning("broker_link.settings_outdated", advice="set these variables", **wrong)
