"""Many nodes that lose their broker and find it again all at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from master.broker import password_hash
from node.state.identity import Identity
from shared.bus.client import Bus
from shared.enrolment.bodies import NodeConfig
from tests.cluster.cluster import Cluster, succeeded
from tests.master.light_node import light_node

PASSWORD = "of-all-of-them"
POOL = 10
"""Connections to the database that a master opens at most (master.db), besides its listener's."""
INSERT = """
    INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash)
    SELECT 'light-' || n, '127.0.0.1', 'of-light-' || n, $1 FROM generate_series(1, $2) AS n RETURNING id
"""
HEARD = """
    SELECT count(*) FROM nodes n JOIN node_status s ON s.node_id = n.id
    WHERE s.online AND s.confirmed_rev = n.revision AND s.reported_at > $1
"""
USED = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"

pytestmark = pytest.mark.long


@pytest.fixture(params=[pytest.param(count, marks=pytest.mark.long) for count in (50, 200)])
async def herd(bare: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[list[Bus]]:
    """The links of real agents without a proxy, all in this process."""
    async with bare.database.connection() as database:
        rows = await database.fetch(INSERT, password_hash(PASSWORD), request.param)
        cluster = str(await database.fetchval("SELECT id::text FROM cluster"))
    async with bare.masters_away():
        pass  # the next one makes the logins
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(light(bare, row["id"], cluster, tmp_path)) for row in rows]
        yield links


@asynccontextmanager
async def light(cluster: Cluster, id_: int, cluster_id: str, folder: Path) -> AsyncIterator[Bus]:
    """A node without engines."""
    broker = replace(cluster.vhost, user=f"node-{id_}", password=PASSWORD).broker
    members = {"node_id": id_, "name": f"light-{id_}", "cluster": cluster_id, "queue": f"mp.node.{id_}"}
    identity = Identity(NodeConfig.model_validate({**members, "amqp_urls": broker.urls, "ca": broker.ca}))
    (folder / str(id_)).mkdir()
    async with light_node(identity, folder / str(id_)) as node:
        yield node.links.bus


async def all_are(links: list[Bus], *states: str, within_s: float) -> list[float]:
    """When each came to one of these states, in seconds."""
    began, at = time.monotonic(), dict[int, float]()
    async with asyncio.timeout(within_s):
        while len(at) < len(links):
            await asyncio.sleep(0.05)
            for number, link in enumerate(links):
                if link.state in states:
                    at.setdefault(number, time.monotonic() - began)
    return list(at.values())


async def test_nodes_come_back_one_by_one_and_the_master_keeps_its_head(bare: Cluster, herd: list[Bus]):
    await all_are(herd, "up", within_s=120)
    await bare.kill("rabbitmq")
    await all_are(herd, "down", within_s=60)
    await bare.start("rabbitmq")
    async with bare.database.connection() as database:
        since = await database.fetchval("SELECT now()")
        slowest, most = 0.0, 0
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            coming = group.create_task(all_are(herd, "up", within_s=120))
            while await database.fetchval(HEARD, since) < len(herd):
                began = time.monotonic()
                succeeded(await bare.api.get("/nodes"))
                slowest = max(slowest, time.monotonic() - began)
                most = max(most, await database.fetchval(USED, bare.database.name))
                await asyncio.sleep(0.1)
    spread = max(coming.result()) - min(coming.result())
    print(f"{len(herd)} nodes came back over {spread:.1f} s; slowest answer {slowest:.2f} s; {most} connections")
    assert spread > 1
    assert slowest < 5
    assert most <= POOL + 3
