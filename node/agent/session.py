"""The session of an enrolled node with its master: agent, reports and the connection to the broker."""

import asyncio
from collections.abc import Awaitable, Callable

from node.agent.broker_addresses import broker_addresses
from node.agent.broker_connection import MOVE_TIMES
from node.agent.broker_links import NodeLinks
from node.agent.kept_moves import KeptMoves
from node.agent.live_reports import LiveReports
from node.agent.manual_moves import follow_manual_moves
from node.agent.message_handler import Agent
from node.agent.publisher import Publisher
from node.agent.reports import NodeReports
from node.agent.upgrade_requests import UpgradeReceiver
from node.agent.usage_reports import UsageReports
from node.certificates.keeper import CertificateKeeper
from node.data_directory import DataDirectory
from node.engine.builtin.engine import BuiltinEngine
from node.engine.installed import Engines
from node.reconcile.progress import Progress
from node.reconcile.reconciler import Reconciler
from node.state.broker_moves import NodeMoves
from node.state.identity import Identity
from node.state.local_copy import LocalCopy
from node.state.status_file import BrokerUse, NodeLinkState
from node.state.store import Store
from node.upgrade.layout import CODE, layout_of
from shared.bus.addresses import BrokerAddresses
from shared.bus.client import REFUSED_WAIT_S, Bus
from shared.bus.intake import Handler, Intake
from shared.proxies import NodeId
from shared.version import program_version

FIRST_WAIT_S = 1.0
"""Time between two tries of the first login: the master creates the login after the node has confirmed it."""


class Session:
    """The parts that need an identity. The session ends when the identity changes; the proxies go on."""

    def __init__(
        self,
        identity: Identity,
        copy: LocalCopy,
        store: Store,
        reconciler: Reconciler,
        engines: Engines,
        *,
        on_login: Callable[[], Awaitable[None]],
        keep_moves: Callable[[NodeMoves], Awaitable[None]],
        files: DataDirectory,
        certificates: CertificateKeeper,
    ) -> None:
        """Build all parts, in the order in which they need one another: longer than most functions for that.

        `on_login` is awaited whenever the broker has accepted the login of this identity. `keep_moves` writes the
        addresses of the broker to disk. Raises OSError.
        """
        config = identity.config
        self._engines, self._on_login, self._files = engines, on_login, files
        self._queue = config.queue
        self._refused_wait_s = REFUSED_WAIT_S if identity.challenge is None else FIRST_WAIT_S
        self._links = NodeLinks(
            KeptMoves(identity.moves, keep_moves), connect=self._connection, on_up=self._came_up, times=MOVE_TIMES
        )
        self._publisher = Publisher(NodeId(config.node_id), config.cluster, copy)
        usage_reports, live_reports = UsageReports(engines.by_name.values()), LiveReports(engines.by_name.values())
        progress = Progress(copy.wanted)
        parts = (copy, reconciler, usage_reports, live_reports, self._publisher, progress, store)
        upgrades = UpgradeReceiver(layout_of(CODE), files.data_dir)
        self._reports = NodeReports(
            *parts,
            version=program_version(),
            engines=engines.versions,
            upgrades=upgrades,
            links=self._links,
            certificate=lambda: certificates.report,
        )
        certificates.on_change = self._reports.wake
        self._copy, self._readdressed, self._rehosted = copy, asyncio.Event(), asyncio.Event()
        self._protected: tuple[str, ...] = ()
        self.agent = Agent(
            copy,
            store,
            reconciler,
            publisher=self._publisher,
            reports=self._reports,
            progress=progress,
            upgrades=upgrades,
            links=self._links,
            on_address=self._readdressed.set,
        )
        self._links.handle, self._links.on_change = self.agent.handle, self._moves_changed

    @property
    def link(self) -> NodeLinkState:
        """The state of the connection to the broker."""
        return self._links.bus.state

    @property
    def broker(self) -> BrokerUse:
        """The address of the broker in use, and how the last move went."""
        report = self._links.report
        return BrokerUse(url=report.url, rev=report.rev, state=report.state, reason=report.reason)

    async def run(self) -> None:
        """Work for the master until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._protect_brokers())
            group.create_task(self._protect_node())
            group.create_task(self.agent.run())
            group.create_task(self._links.run())
            group.create_task(follow_manual_moves(self._files.manual_move_file, self._links))

    def _connection(self, addresses: BrokerAddresses, handler: Handler, on_up: Callable[[], Awaitable[None]]) -> Bus:
        """Prepare a connection to these addresses."""
        intake = Intake(self._queue, handler, exclusive=True)
        return Bus(addresses, program="node", intake=intake, on_up=on_up, refused_wait_s=self._refused_wait_s)

    async def _came_up(self) -> None:
        self._publisher.bus = self._links.bus
        await self._on_login()
        await self._protect_broker()
        await self.agent.came_up()

    def _moves_changed(self) -> None:
        self._reports.wake()
        if self._links.moves.hosts != self._protected:
            self._rehosted.set()

    async def _protect_node(self) -> None:
        """Keep proxies from the node itself at the public address that only the master knows."""
        while True:
            await self._readdressed.wait()
            self._readdressed.clear()
            await self._engines.reached_at(self._copy.ip)

    async def _protect_brokers(self) -> None:
        """Keep proxies from the broker, also from one to which the node is about to move."""
        while True:
            await self._protect_broker()
            await self._rehosted.wait()
            self._rehosted.clear()

    async def _protect_broker(self) -> None:
        """Keep proxies from the broker. Its name is resolved at each connection, since its address may change."""
        self._protected = self._links.moves.hosts
        addresses = await broker_addresses(self._protected)
        for engine in self._engines.by_name.values():
            if addresses and isinstance(engine, BuiltinEngine):
                await engine.protect(addresses)
