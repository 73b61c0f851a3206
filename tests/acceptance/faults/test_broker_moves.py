"""The broker moves while clients stream through every node: nobody is stranded, and not a byte is lost."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import eventually, is_in, made
from tests.acceptance.faults.test_streams import opened, streaming
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.services.folders import Folder
from tests.services.ports import claim_block
from tests.services.postgres import Database, PostgreSQL
from tests.services.programs import tail
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where

MOVED_S = 180
SETTLED_S = 30
STARTED_AT_ONCE = 4
OUTAGE_S = 3

pytestmark = pytest.mark.long


@asynccontextmanager
async def another_broker(where: Where) -> AsyncIterator[RabbitMQ]:
    """A broker of this test's own, on other ports."""
    folder = Folder(where.folder.private(f"broker-{secrets.token_hex(4)}"), durable=False)
    folder.path.chmod(0o711)  # the broker's account goes through it
    with claim_block().held() as ports:
        broker = await replace(where, folder=folder, ports=ports).rabbitmq()
        try:
            await broker.start()
            yield broker
        finally:
            await broker.end()


@asynccontextmanager
async def running(
    where: Where, postgres: PostgreSQL, broker: RabbitMQ, database: Database, vhost: Vhost, count: int
) -> AsyncIterator[Cluster]:
    """A master and nodes that reach the broker in clear text."""
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    with claim_block().held() as ports:
        around = replace(where, folder=folder, ports=ports)
        async with cluster(around, postgres, broker, database, vhost.in_clear()) as fleet:
            succeeded(await fleet.api.post("/locations", json={"name": "home"}))
            for first in range(0, count, STARTED_AT_ONCE):
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(STARTED_AT_ONCE, count - first)):
                        group.create_task(fleet.node(location_id=1))
            yield fleet
            print(f"master:\n{tail(fleet.masters['master'].log, 60)}")  # pytest shows it when the test failed
            for name, node in fleet.nodes.items():
                print(f"{name}:\n{tail(node.agent.log, 20)}")


def in_clear(vhost: Vhost) -> dict[str, Any]:
    return {"amqp_urls": [vhost.amqp_url], "management_urls": [vhost.management_url], "ca": None}


def encrypted(vhost: Vhost) -> dict[str, Any]:
    assert vhost.tls
    return {"amqp_urls": [vhost.amqps_url], "management_urls": [vhost.tls.management_url], "ca": vhost.tls.pem}


async def overview(fleet: Cluster) -> dict[str, Any]:
    return succeeded(await fleet.api.get("/system/broker")).json()


async def all_moved(fleet: Cluster) -> bool:
    try:
        nodes = (await overview(fleet))["move"]["nodes"]
    except (httpx.HTTPError, AssertionError):
        return False  # the master is away for the moment
    return nodes["moved"] == nodes["total"]


async def masters_are_up(fleet: Cluster) -> bool:
    return all(master["is_up"] for master in (await overview(fleet))["move"]["masters"])


async def moved_to(fleet: Cluster, wanted: dict[str, Any]) -> None:
    """Move the broker there, and finish the move."""
    succeeded(await fleet.api.post("/system/broker", json=wanted))
    await finished(fleet)


async def finished(fleet: Cluster) -> None:
    """Wait until every node has moved and every master is connected to both brokers, and leave the former one."""
    await eventually(lambda: all_moved(fleet), MOVED_S)
    await eventually(lambda: masters_are_up(fleet), MOVED_S)
    succeeded(await fleet.api.post("/system/broker/finish"))

    async def is_left() -> bool:
        return (await overview(fleet))["left"]["state"] == "closed"

    await eventually(is_left, MOVED_S)
    assert (await overview(fleet))["left"]["left_over"] is None


async def settle(fleet: Cluster) -> None:
    """A change of each node arrives."""
    for node in fleet.nodes.values():
        proxy = succeeded(await fleet.api.post("/proxies", json={"node_ids": [node.id]})).json()
        await eventually(lambda proxy=proxy: is_in(fleet, proxy, "running"), SETTLED_S)


@pytest.mark.parametrize(("nodes", "connections"), [(3, 10), (50, 200)], ids=["few", "many"])
async def test_from_amqp_to_amqps_and_to_another_broker_strands_no_node_and_loses_no_byte(
    where: Where,
    postgres: PostgreSQL,
    rabbitmq: RabbitMQ,
    database: Database,
    vhost: Vhost,
    client: Client,
    nodes: int,
    connections: int,
):
    async with (
        another_broker(where) as other,
        running(where, postgres, rabbitmq, database, vhost, nodes) as fleet,
    ):
        proxies = [await made(fleet, node_ids=[node.id]) for node in fleet.nodes.values()]
        async with streaming(await opened(client, proxies, connections)) as rounds:
            await moved_to(fleet, encrypted(vhost))
            await settle(fleet)
            await moved_to(fleet, encrypted(other.admin))
            await settle(fleet)
            before = list(rounds)
            await eventually(lambda: gone_on(rounds, before), SETTLED_S)
        async with vhost.management() as api:
            assert [user for user in (await api.get("users")).json() if user["name"].startswith("node-")] == []


async def gone_on(rounds: list[int], before: list[int]) -> bool:
    return all(now > then for now, then in zip(rounds, before, strict=True))


@pytest.mark.parametrize("moment", ["opening", "moving", "moved"])
@pytest.mark.parametrize("victim", ["master", "old broker", "new broker"])
async def test_a_move_survives_whoever_is_killed_at_any_moment(
    where: Where, postgres: PostgreSQL, database: Database, client: Client, victim: str, moment: str
):
    async with (
        another_broker(where) as old,
        another_broker(where) as new,
        running(where, postgres, old, database, old.admin, 2) as fleet,
    ):
        proxies = [await made(fleet, node_ids=[node.id]) for node in fleet.nodes.values()]
        async with streaming(await opened(client, proxies, 6)):
            succeeded(await fleet.api.post("/system/broker", json=encrypted(new.admin)))
            if moment != "opening":
                await eventually(lambda: has_begun(fleet), SETTLED_S)
            if moment == "moved":
                await eventually(lambda: all_moved(fleet), MOVED_S)
            await kill_for_a_while(fleet, victim, {"old broker": old, "new broker": new})
            await finished(fleet)
            await settle(fleet)


async def has_begun(fleet: Cluster) -> bool:
    return (await overview(fleet))["move"]["state"] == "moving"


async def kill_for_a_while(fleet: Cluster, victim: str, brokers: dict[str, RabbitMQ]) -> None:
    if victim == "master":
        await fleet.kill("master")
        await asyncio.sleep(OUTAGE_S)  # the outage itself
        await fleet.start("master")
        return
    await brokers[victim].kill()
    await asyncio.sleep(OUTAGE_S)  # the outage itself
    await brokers[victim].start()
