"""A fleet kept as code: a stack on real nodes, made, scaled and asked for once more."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.acceptance.conftest import eventually, widened
from tests.clients.traffic import Client, accepts
from tests.cluster.cluster import Cluster, succeeded
from tests.services.ports import BLOCK, PortBlock

AT_ONCE = 100
"""Connections that are tried at the same time."""


async def grown(fleet: Cluster, nodes: int, size: int) -> PortBlock:
    """A location of so many nodes, which share one ip and one range of so many ports."""
    succeeded(await fleet.api.post("/locations", json={"name": "home"}))
    for _ in range(nodes):
        await fleet.node(location_id=1)
    return await widened(fleet, size)


async def members(fleet: Cluster) -> list[dict[str, Any]]:
    answer = await fleet.api.get("/proxies", params={"stack_id": 1, "limit": 1000})
    return succeeded(answer).json()["items"]


async def accepting(proxies: Sequence[dict[str, Any]]) -> int:
    """How many of these do."""
    count = 0
    for first in range(0, len(proxies), AT_ONCE):
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(accepts(proxy)) for proxy in proxies[first : first + AT_ONCE]]
        count += sum(task.result() for task in tries)
    return count


async def put(fleet: Cluster, count: int) -> dict[str, Any]:
    body = {"count": count, "proxy": {"location_id": 1, "labels": {"kept": "as code"}}}
    return succeeded(await fleet.api.put("/stacks/by-name/shop", json=body)).json()


async def all_accept(fleet: Cluster, proxies: Sequence[dict[str, Any]]) -> bool:
    return await accepting(proxies) == len(proxies)


async def watched(fleet: Cluster) -> None:
    """Every message to a node is also kept from now on, to be read by `messages`."""
    async with fleet.vhost.management() as broker:
        (await broker.put(f"queues/{fleet.vhost.name}/watch", json={"durable": False})).raise_for_status()
        for node in fleet.nodes.values():
            path = f"bindings/{fleet.vhost.name}/e/mp.node/q/watch"
            (await broker.post(path, json={"routing_key": str(node.id)})).raise_for_status()


async def messages(fleet: Cluster) -> list[tuple[int, int]]:
    """Node and revision of those that were sent since."""
    async with fleet.vhost.management() as broker:
        asked = {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}
        found = (await broker.post(f"queues/{fleet.vhost.name}/watch/get", json=asked)).json()
    return [(one["properties"]["headers"]["node"], one["properties"]["headers"]["rev"]) for one in found]


async def last_event(fleet: Cluster) -> int:
    async with fleet.database.connection() as rows:
        return await rows.fetchval("SELECT max(id) FROM events")


@pytest.mark.parametrize(
    ("nodes", "many", "few"), [(2, 100, 20), pytest.param(5, 1000, 200, marks=pytest.mark.long)], ids=["normal", "long"]
)
async def test_a_stack_serves_within_three_seconds_shrinks_within_two_and_the_same_again_is_nothing(
    bare: Cluster, client: Client, nodes: int, many: int, few: int
):
    ports = await grown(bare, nodes, size=many + BLOCK)
    began = time.monotonic()
    await put(bare, many)
    answered_s = time.monotonic() - began
    proxies = await members(bare)
    await eventually(lambda: all_accept(bare, proxies), 30)
    served_s = time.monotonic() - began
    assert len(proxies) == many
    stays, goes = await client.tunnel(proxies[0]), await client.tunnel(proxies[-1])

    began = time.monotonic()
    await put(bare, few)
    assert await goes.ended(within_s=2)
    await eventually(lambda: none_accepts(proxies[few:]), 30)
    closed_s = time.monotonic() - began
    await stays.beat()
    assert [one["id"] for one in await members(bare)] == [one["id"] for one in proxies[:few]]

    await eventually(lambda: settled(bare, few), 10)
    await watched(bare)
    last = await last_event(bare)
    again = await put(bare, few)
    assert await last_event(bare) == last
    await marked(bare, proxies[0])
    ports.close()
    print(f"answered {answered_s:.2f} s, served {served_s:.2f} s, closed {closed_s:.2f} s")
    assert again["count"] == few
    assert (served_s < 3, closed_s < 2) == (True, True), (served_s, closed_s)


async def none_accepts(proxies: Sequence[dict[str, Any]]) -> bool:
    return await accepting(proxies) == 0


async def settled(fleet: Cluster, count: int) -> bool:
    """Whether all run, and every node has confirmed what it was told."""
    stack = succeeded(await fleet.api.get("/stacks/1")).json()
    return stack["status"]["running"] == count


async def marked(fleet: Cluster, proxy: dict[str, Any]) -> None:
    """After a change of this proxy its node was told of that, and nobody of anything before."""
    path, wait = f"/proxies/{proxy['id']}", {"Prefer": "wait=10"}
    succeeded(await fleet.api.patch(path, json={"enabled": False}, headers=wait))
    node = succeeded(await fleet.api.get(f"/nodes/{proxy['node_id']}")).json()
    assert set(await messages(fleet)) == {(node["id"], node["revision"])}
