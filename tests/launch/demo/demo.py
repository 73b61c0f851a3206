"""The demo fleet from its creation to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cluster.cluster import Cluster, until
from tests.launch.demo import trouble
from tests.launch.demo.build import build, proxies_of
from tests.launch.demo.fleet import NODES
from tests.launch.demo.traffic import send_traffic, use_up
from tests.launch.demo.web import GONE_WRONG, GOOD, receivers
from tests.launch.memory import Memory
from tests.launch.returning import join_all, launch_new

Report = Callable[[str], None]
MASTER_SETTINGS = {"WEBHOOK_ALLOW_PRIVATE": "yes"}
"""Settings of the master: receivers of webhooks are on this machine."""
STARTED_S = 60.0


@asynccontextmanager
async def demo_fleet(cluster: Cluster, memory: Memory, report: Report) -> AsyncIterator[set[str]]:
    """Fill the cluster, once, and keep traffic and trouble up; provides the programs that are meant to be dead."""
    if not memory.demo:
        await create(cluster, memory, report)
    good, bad = (cluster.ports.port(offset) for offset in (trouble.GOOD_RECEIVER, trouble.BAD_RECEIVER))
    async with receivers((good, GOOD), (bad, GONE_WRONG)), trouble.taken_port(cluster), asyncio.TaskGroup() as group:
        dead = await trouble.lose_node(cluster)
        if not memory.demo:
            await trouble.begin_once(cluster)
            memory.demo = True
            memory.write()
        report("trouble has begun: an agent was killed, a port is taken, a node drains, another holds its list back")
        traffic = group.create_task(send_traffic(cluster))
        yield dead
        traffic.cancel()


@asynccontextmanager
async def demo_cluster(cluster: Cluster, report: Report) -> AsyncIterator[None]:
    """Make the demo fleet of a cluster without any node, for tests and screenshots."""
    memory = Memory()
    await launch_new(cluster, len(NODES), memory)
    await join_all(cluster, memory, report)
    async with demo_fleet(cluster, memory, report):
        yield


async def create(cluster: Cluster, memory: Memory, report: Report) -> None:
    """Create the fleet, wait until it runs, and give it a past. Raises ProgramError."""
    assert memory.location_id
    await build(cluster, memory.location_id)
    master = cluster.programs["master"]
    await until(lambda: all_started(cluster), "the proxies of the demo fleet to start", master, limit_s=STARTED_S)
    await use_up(cluster)
    async with cluster.database.connection() as database:
        await database.execute((Path(__file__).parent / "history.sql").read_text())
    count = len(await proxies_of(cluster))
    report(f"the demo fleet is created: {count} proxies on {len(cluster.nodes)} nodes, with 90 days of history")


async def all_started(cluster: Cluster) -> bool:
    """Whether no proxy is pending any more."""
    return not await proxies_of(cluster, state="pending")
