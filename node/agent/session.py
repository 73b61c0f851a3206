"""The session of an enrolled node with its master: agent, reports and the connection to the broker."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from node.agent.broker_addresses import broker_addresses
from node.agent.live_reports import LiveReports
from node.agent.message_handler import Agent
from node.agent.publisher import Publisher
from node.agent.reports import NodeReports
from node.agent.upgrade_requests import UpgradeReceiver
from node.agent.usage_reports import UsageReports
from node.engine.builtin.engine import BuiltinEngine
from node.engine.installed import Engines
from node.reconcile.progress import Progress
from node.reconcile.reconciler import Reconciler
from node.state.identity import Identity
from node.state.local_copy import LocalCopy
from node.state.status_file import BrokerLink
from node.state.store import Store
from node.upgrade.layout import CODE, layout_of
from shared.bus.client import REFUSED_WAIT_S, Bus
from shared.bus.intake import Intake
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
        on_login: Callable[[], Awaitable[None]],
        data_dir: Path,
    ) -> None:
        """`on_login` is awaited whenever the broker has accepted the login of this identity."""
        config = identity.config
        self._engines, self._on_login, self._broker = engines, on_login, config.broker
        publisher = Publisher(NodeId(config.node_id), config.cluster, copy)
        usage_reports, live_reports = UsageReports(engines.by_name.values()), LiveReports(engines.by_name.values())
        progress = Progress(copy.wanted)
        parts = (copy, reconciler, usage_reports, live_reports, publisher, progress, store)
        upgrades = UpgradeReceiver(layout_of(CODE), data_dir)
        reports = NodeReports(*parts, version=program_version(), engines=engines.versions, upgrades=upgrades)
        self._copy, self._readdressed = copy, asyncio.Event()
        on_address = self._readdressed.set
        self.agent = Agent(
            copy,
            store,
            reconciler,
            publisher=publisher,
            reports=reports,
            progress=progress,
            upgrades=upgrades,
            on_address=on_address,
        )
        publisher.bus = self._bus = Bus(
            config.broker,
            program="node",
            intake=Intake(config.queue, self.agent.handle, exclusive=True),
            on_up=self._came_up,
            refused_wait_s=REFUSED_WAIT_S if identity.challenge is None else FIRST_WAIT_S,
        )

    @property
    def link(self) -> BrokerLink:
        """The state of the connection to the broker."""
        return self._bus.state

    async def run(self) -> None:
        """Work for the master until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._protect_broker())
            group.create_task(self._protect_node())
            group.create_task(self.agent.run())
            group.create_task(self._bus.run())

    async def _came_up(self) -> None:
        await self._on_login()
        await self._protect_broker()
        await self.agent.came_up()

    async def _protect_node(self) -> None:
        """Keep proxies from the node itself at the public address that only the master knows."""
        while True:
            await self._readdressed.wait()
            self._readdressed.clear()
            await self._engines.reached_at(self._copy.ip)

    async def _protect_broker(self) -> None:
        """Keep proxies from the broker. Its name is resolved at each connection, since its address may change."""
        addresses = await broker_addresses(self._broker.hosts)
        for engine in self._engines.by_name.values():
            if addresses and isinstance(engine, BuiltinEngine):
                await engine.protect(addresses)
