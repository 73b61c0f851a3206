"""Whoever is killed, whatever is lost: proxies serve on, and all comes to what is wanted."""

import asyncio
import random
import time
from typing import Any

from tests.acceptance.conftest import all_proxies, eventually, is_in, logged, made
from tests.clients.traffic import Client, accepts
from tests.cluster.cluster import Cluster, succeeded


async def test_the_agent_can_be_killed_without_a_byte_lost_and_finds_its_proxies_again(lone: Cluster, client: Client):
    proxy = await made(lone)
    open_one = await client.tunnel(proxy)
    name = f"node-{node_number(lone, proxy)}"
    await lone.kill(name)
    await open_one.beat()
    await client.use(proxy)
    await lone.start(name)
    await eventually(lambda: logged(lone, name, "proxy.adopted"), 10)
    await open_one.beat()
    changed = await lone.api.patch(
        f"/proxies/{proxy['id']}", json={"labels": {"a": "b"}}, headers={"Prefer": "wait=10"}
    )
    assert (changed.status_code, changed.json()["status"]["state"]) == (200, "running")
    await open_one.beat()
    assert not await logged(lone, name, '"event": "proxy.died"')


def node_number(fleet: Cluster, proxy: dict[str, Any]) -> int:
    return next(number for number, node in enumerate(fleet.nodes.values(), 1) if node.id == proxy["node_id"])


async def test_master_broker_and_database_can_be_killed_and_everything_heals_by_itself(fleet: Cluster, client: Client):
    proxy, other = await made(fleet), await made(fleet)
    open_one = await client.tunnel(proxy)
    for who in ("master", "rabbitmq", "postgres"):
        await fleet.kill(who)
    await open_one.beat()
    await client.use(other)
    async with asyncio.TaskGroup() as group:
        for who in ("postgres", "rabbitmq"):
            group.create_task(fleet.start(who))
    await fleet.start("master")
    await eventually(lambda: both_online(fleet), 45)
    await open_one.beat()
    another = await made(fleet)
    await client.use(another)
    await open_one.beat()


async def both_online(fleet: Cluster) -> bool:
    nodes = succeeded(await fleet.api.get("/nodes")).json()["items"]
    return all(node["status"]["state"] == "online" for node in nodes) and len(nodes) == 2


async def test_a_host_that_reboots_alone_serves_its_proxies_again_within_two_seconds(lone: Cluster, client: Client):
    proxy = await made(lone)
    name = f"node-{node_number(lone, proxy)}"
    for who in ("master", "rabbitmq", "postgres"):
        await lone.kill(who)
    await lone.halt(name)
    assert not await accepts(proxy)
    began = time.monotonic()
    await lone.start(name)
    await eventually(lambda: accepts(proxy), 10)
    assert time.monotonic() - began < 6  # 2 s on a quiet machine; this one may be busy
    await client.use(proxy)


async def test_two_masters_changing_at_random_end_in_exactly_the_wanted_set(fleet: Cluster):
    second = await fleet.master()
    clients, dice, living = [fleet.api, second], random.Random(7), set[int]()

    async def create() -> None:
        answer = succeeded(await dice.choice(clients).post("/proxies", json={"location_id": 1}))
        living.add(answer.json()["id"])

    async def delete(id_: int) -> None:
        succeeded(await dice.choice(clients).delete(f"/proxies/{id_}"))

    for _ in range(20):
        doomed = set(dice.sample(sorted(living), min(len(living), dice.randint(5, 10))))
        living -= doomed
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(create())
            for id_ in doomed:
                group.create_task(delete(id_))
    proxies = await all_proxies(fleet)
    assert {proxy["id"] for proxy in proxies} == living
    await eventually(lambda: exactly(fleet, proxies), 20)


async def exactly(fleet: Cluster, proxies: list[dict[str, Any]]) -> bool:
    """Of all ports of the nodes, exactly those of these proxies accept connections."""
    wanted = {proxy["port"] for proxy in proxies}
    ports = [node.ports.port(place) for node in fleet.nodes.values() for place in range(1, 100)]
    open_ports = {port for port in ports if await accepts({"host": "127.0.0.1", "port": port})}
    assert open_ports == wanted, (len(open_ports - wanted), len(wanted - open_ports))
    return True


async def test_a_broker_that_lost_everything_is_set_up_again_by_itself(fleet: Cluster, client: Client):
    proxy = await made(fleet)
    kept = await client.tunnel(proxy)
    async with fleet.vhost.management() as broker:
        for node in (1, 2):
            (await broker.delete(f"users/node-{node}")).raise_for_status()
    await fleet.rabbitmq.drop(fleet.vhost.name)
    await fleet.rabbitmq.create(fleet.vhost.name)
    await kept.beat()
    answer = succeeded(await fleet.api.post("/proxies", json={"location_id": 1}))
    await eventually(lambda: is_in(fleet, answer.json(), "running"), 60)
    await kept.beat()
