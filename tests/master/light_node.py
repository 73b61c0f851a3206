"""A node's side of the bus without engines, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

from node.agent.broker_connection import MoveTimes
from node.agent.broker_links import NodeLinks
from node.agent.kept_moves import KeptMoves
from node.agent.live_reports import LiveReports
from node.agent.manual_moves import follow_manual_moves
from node.agent.message_handler import Agent
from node.agent.publisher import Publisher
from node.agent.reports import NodeReports
from node.agent.upgrade_requests import UpgradeReceiver
from node.agent.usage_reports import UsageReports
from node.reconcile.progress import Progress
from node.reconcile.reconciler import Reconciler
from node.state.broker_moves import NodeMoves
from node.state.identity import Identity, write_identity
from node.state.local_copy import StoredProxy
from node.state.store import Store
from shared.bus.addresses import BrokerAddresses
from shared.bus.client import Bus
from shared.bus.intake import Intake
from shared.proxies import NodeId


@dataclass
class LightNode:
    """A node that runs, with its identity in `file`."""

    agent: Agent
    links: NodeLinks
    file: Path


@asynccontextmanager
async def light_node(identity: Identity, folder: Path, times: MoveTimes | None = None) -> AsyncIterator[LightNode]:
    """Run a node with this identity, and end it as a kill would: without a word to anyone."""
    config = identity.config
    file = folder / "identity.json"
    with closing(Store(folder / "copy.db")) as store:
        copy = store.load()

        async def nothing_runs(_: list[StoredProxy]) -> None:
            """There is no proxy that could."""

        async def keep(moves: NodeMoves) -> None:
            await asyncio.to_thread(write_identity, file, replace(identity, moved=moves))

        async def came_up() -> None:
            publisher.bus = links.bus
            await agent.came_up()

        def connect(addresses: BrokerAddresses, handler, on_up) -> Bus:  # type: ignore[no-untyped-def] (Connect)
            return Bus(addresses, program="node", intake=Intake(config.queue, handler, exclusive=True), on_up=on_up)

        links = NodeLinks(KeptMoves(identity.moves, keep), connect=connect, on_up=came_up, times=times or MoveTimes())
        publisher, progress = Publisher(NodeId(config.node_id), config.cluster, copy), Progress({})
        reconciler, upgrades = Reconciler(copy, {}, on_change=nothing_runs), UpgradeReceiver(None, folder)
        parts = (copy, reconciler, UsageReports(()), LiveReports(()), publisher, progress, store)
        reports = NodeReports(
            *parts, version="light", engines={}, upgrades=upgrades, links=links, certificate=lambda: None
        )
        agent = Agent(
            copy,
            store,
            reconciler,
            publisher=publisher,
            reports=reports,
            progress=progress,
            upgrades=upgrades,
            links=links,
        )
        links.handle, links.on_change = agent.handle, reports.wake
        async with asyncio.TaskGroup() as group:
            by_hand = follow_manual_moves(folder / "broker.json", links)
            tasks = [group.create_task(program) for program in (agent.run(), links.run(), by_hand)]
            yield LightNode(agent, links, file)
            for task in tasks:
                task.cancel()
