"""A bad wire between a node and the broker: cut, half cut, losing, slow; and two agents that say they are one node."""

import asyncio

import pytest

from tests.acceptance.conftest import eventually, made
from tests.cluster.cluster import Cluster, succeeded

NOTICED_S = 90
HEALED_S = 120

pytestmark = pytest.mark.long


@pytest.fixture
async def apart(fleet: Cluster) -> Cluster:
    """Two nodes with two proxies each, either in a network of its own, and the clients of their proxies there too."""
    async with asyncio.TaskGroup() as group:
        for number in (1, 2, 1, 2):
            group.create_task(made(fleet, node_ids=[number]))
    async with asyncio.TaskGroup() as group:
        for name in ("node-1", "node-2"):
            group.create_task(fleet.set_apart(name))
    await fleet.converged(within=30)
    for node in fleet.nodes.values():
        await fleet.online(node)
    return fleet


async def change_everything(fleet: Cluster, number: int) -> None:
    """Of each node one proxy goes, one comes, and the others' passwords change."""
    for node_id in (1, 2):
        first = succeeded(await fleet.api.get("/proxies", params={"node_id": node_id})).json()["items"][0]
        succeeded(await fleet.api.delete(f"/proxies/{first['id']}"))
        succeeded(await fleet.api.post("/proxies", json={"node_ids": [node_id]}))
        change = {"password": f"another-one-{number}"}
        succeeded(await fleet.api.patch("/proxies", params={"node_id": node_id, "expect": 2}, json=change))


async def noticed(fleet: Cluster, name: str) -> bool:
    return '"bus.down"' in fleet.programs[name].log.read_text()


@pytest.mark.long
async def test_a_silent_cut_is_noticed_and_after_it_the_nodes_end_at_what_is_wanted(apart: Cluster):
    before = await listening(apart)
    apart.cut("node-1", "rabbitmq")
    apart.cut("rabbitmq", "node-2", one_way=True)
    await change_everything(apart, 1)
    for name in ("node-1", "node-2"):
        await eventually(lambda name=name: noticed(apart, name), NOTICED_S)
    assert await listening(apart) == before
    apart.mend()
    await apart.converged(within=HEALED_S)


@pytest.mark.long
async def test_a_node_that_hears_and_is_not_heard_is_asked_again_until_it_is(apart: Cluster):
    apart.cut("node-1", "rabbitmq", one_way=True)
    await change_everything(apart, 2)
    await eventually(lambda: noticed(apart, "node-1"), NOTICED_S)
    apart.mend()
    await apart.converged(within=HEALED_S)


async def listening(fleet: Cluster) -> dict[str, list[int]]:
    """The ports that accept connections, by node."""
    return {name: await asyncio.to_thread(fleet.accepting, name) for name in fleet.nodes}


async def test_every_third_packet_lost_only_makes_it_slow(apart: Cluster):
    apart.lose(30)
    for number in range(5):
        await change_everything(apart, number)
    await apart.converged(within=HEALED_S)


@pytest.mark.long
async def test_half_a_second_each_way_only_makes_it_slow(apart: Cluster):
    apart.delay(500)
    for number in range(5):
        await change_everything(apart, number)
    await apart.converged(within=60)


async def test_a_clone_of_a_node_is_refused_and_the_original_works_on(apart: Cluster):
    clone = await apart.clone(apart.name_of(1), beside=apart.name_of(2))
    try:
        await eventually(lambda: told_occupied(clone.agent.log), 60)
        await change_everything(apart, 3)
        await eventually(lambda: confirmed(apart), 30)
    finally:
        await apart.halt_clone(clone)
    await apart.converged(within=30)


async def told_occupied(log) -> bool:
    return log.exists() and '"bus.occupied"' in log.read_text()


async def confirmed(fleet: Cluster) -> bool:
    """Every proxy of the original runs at its newest version, by its own word."""
    items = succeeded(await fleet.api.get("/proxies")).json()["items"]
    return all(item["status"]["state"] == "running" for item in items)
