"""Programs that are killed, frozen or away at the worst moment: the nodes end at what the database wants."""

import random
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import eventually, made
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, succeeded
from tests.cluster.load import Load

HEALED_S = 60


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Other draws in each run; pytest shows the seed of a failed one."""
    seed = random.randrange(2**32)
    print(f"seed {seed} of {request.node.name}")
    return random.Random(seed)


async def test_a_master_killed_at_any_moment_under_load_leaves_nothing_undone(
    fleet: Cluster, client: Client, dice: random.Random
):
    kept = await client.tunnel(await made(fleet))
    async with Load([fleet.api], dice) as load:
        for _ in range(5):
            await load.more(dice.randint(3, 25))
            await fleet.kill("master")
            await fleet.start("master")
    await fleet.converged(within=HEALED_S)
    await kept.beat()


async def test_a_master_that_dies_after_the_publish_and_before_its_mark_is_followed_by_the_next(lone: Cluster):
    async with lone.vhost.management() as broker:
        vhost = lone.vhost.name
        (await broker.put(f"queues/{vhost}/watch", json={"durable": False})).raise_for_status()
        (await broker.post(f"bindings/{vhost}/e/mp.node/q/watch", json={"routing_key": "1"})).raise_for_status()
        async with Load([lone.api], random.Random(5), node_ids=[1]) as load:
            await load.more(3)
            await eventually(lambda: seen(broker, vhost), 20)
            await lone.freeze("master")
            await lone.kill("master")
        await lone.start("master")
    await lone.converged(within=HEALED_S)


async def seen(broker: httpx.AsyncClient, vhost: str) -> bool:
    asked = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    return bool((await broker.post(f"queues/{vhost}/watch/get", json=asked)).json())


async def test_a_master_frozen_at_any_moment_holds_nobody_up_and_wakes_without_harm(
    fleet: Cluster, dice: random.Random
):
    second = await fleet.master()
    kept = {number: await made(fleet, node_ids=[number]) for number in (1, 2)}
    hasty = httpx.AsyncClient(base_url=fleet.api.base_url, timeout=3, trust_env=False)
    async with hasty, Load([hasty], dice) as load, Load([hasty], dice), Load([hasty], dice):
        for number in range(4):
            await load.more(dice.randint(1, 6))
            await fleet.freeze("master")
            for proxy in kept.values():
                change = {"password": f"another-one-{number}"}
                succeeded(await second.patch(f"/proxies/{proxy['id']}", json=change))
            await fleet.thaw("master")
    await fleet.converged(within=HEALED_S)


async def test_a_database_restarted_at_once_under_load_loses_nothing_that_was_answered(
    fleet: Cluster, dice: random.Random
):
    async with Load([fleet.api], dice) as load:
        for _ in range(2):
            await load.more(15)
            await fleet.kill("postgres")
            await fleet.start("postgres")
        await load.more(5)
    assert load.living <= {proxy["id"] for proxy in await everything(fleet)}
    await fleet.converged(within=HEALED_S)


async def everything(fleet: Cluster) -> list[dict[str, Any]]:
    return succeeded(await fleet.api.get("/proxies", params={"limit": 1000})).json()["items"]


async def test_a_node_away_through_five_hundred_changes_ends_at_the_last_of_them(lone: Cluster, client: Client):
    kept = await client.tunnel(await made(lone, node_ids=[1], protocol="mixed"))
    for _ in range(4):
        await made(lone, node_ids=[1], protocol="http")
    await lone.kill(lone.name_of(1))
    which = {"node_id": 1, "protocol": "http", "expect": 4}
    for number in range(125):
        change = {"password": f"another-one-{number}"}
        succeeded(await lone.api.patch("/proxies", params=which, json=change))
    await kept.beat()
    await lone.start(lone.name_of(1))
    await lone.converged(within=HEALED_S)
    await kept.beat()


async def test_the_last_proxy_deleted_stops_like_any_other(lone: Cluster, client: Client):
    only = await made(lone)
    open_one = await client.tunnel(only)
    succeeded(await lone.api.delete(f"/proxies/{only['id']}", headers={"Prefer": "wait=10"}))
    assert await open_one.ended(within_s=1)
    await lone.converged(within=5)
