"""Three brokers of one cluster: whichever dies, nothing is lost, and nothing that runs is touched."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.acceptance.conftest import all_proxies, eventually, is_in, made
from tests.acceptance.faults.test_streams import opened, streaming
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.cluster.load import Load
from tests.services.folders import Folder
from tests.services.ports import claim_block
from tests.services.postgres import Database, PostgreSQL
from tests.services.programs import tail
from tests.services.rabbitmq_cluster import RabbitMQCluster, three_brokers
from tests.services.sources import Where

HEALED_S = 60
SETTLED_S = 20
CHANGES = 1_000

pytestmark = pytest.mark.long


@pytest.fixture
async def brokers(where: Where) -> AsyncIterator[RabbitMQCluster]:
    """Three brokers of this test's own."""
    folder = Folder(where.folder.private(f"brokers-{secrets.token_hex(4)}"), durable=False)
    folder.path.chmod(0o711)  # the brokers' account goes through it
    with claim_block().held() as ports:
        made = three_brokers(folder, ports)
        try:
            await made.start()
            yield made
        finally:
            await made.end()


@pytest.fixture
async def trio(
    where: Where, postgres: PostgreSQL, database: Database, brokers: RabbitMQCluster
) -> AsyncIterator[Cluster]:
    """One master and three nodes, each of which prefers another broker."""
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    with claim_block().held() as ports:
        around = replace(where, folder=folder, ports=ports)
        async with cluster(around, postgres, brokers.members[0], database, brokers.vhost) as made:
            succeeded(await made.api.post("/locations", json={"name": "home"}))
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(made.node(location_id=1))
            yield made
            for name, program in {**made.masters, **{name: node.agent for name, node in made.nodes.items()}}.items():
                print(f"{name}:\n{tail(program.log, 30)}")  # pytest shows it when the test failed


async def settles(fleet: Cluster, node_id: int) -> None:
    """A new proxy of this node runs."""
    body = {"node_ids": [node_id]}
    proxy = succeeded(await fleet.api.post("/proxies", json=body)).json()
    await eventually(lambda: is_in(fleet, proxy, "running"), SETTLED_S)


async def all_settle(fleet: Cluster) -> None:
    async with asyncio.TaskGroup() as group:
        for node in fleet.nodes.values():
            group.create_task(settles(fleet, node.id or 0))


async def test_each_broker_killed_and_back_in_turn_under_a_thousand_changes_loses_nothing(
    trio: Cluster, brokers: RabbitMQCluster, client: Client
):
    proxies = [await made(trio, node_ids=[node.id]) for node in trio.nodes.values()]
    tunnels = await opened(client, proxies, 30)
    async with streaming(tunnels), Load([trio.api], random.Random(), most=60) as load:
        for member in brokers.members:
            await member.kill()
            await all_settle(trio)
            await load.more(CHANGES // 6)
            await member.start()
            await brokers.complete()
            await load.more(CHANGES // 6)
    await trio.converged(within=HEALED_S)
    present = {proxy["id"] for proxy in await all_proxies(trio)}
    assert load.living <= present
