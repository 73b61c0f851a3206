"""Nodes that are emptied, removed and replaced in a real cluster, while clients use their proxies."""

import time
from typing import Any

import pytest

from tests.acceptance.conftest import eventually, made
from tests.acceptance.test_rotation import loaded, rows
from tests.cluster import Cluster, Node, succeeded
from tests.traffic import Client


async def shown_node(fleet: Cluster, node: Node) -> dict[str, Any]:
    return succeeded(await fleet.api.get(f"/nodes/{node.id}")).json()


async def drained_under_load(fleet: Cluster, client: Client, *, proxies: int, overlap_s: int, within_s: float) -> None:
    """Raises AssertionError when a request fails or the node is not empty in time."""
    one, other = fleet.nodes.values()
    await fleet.api.patch(f"/nodes/{other.id}", json={"state": "draining"})
    for _ in range(proxies):
        succeeded(await fleet.api.post("/proxies", json={"location_id": 1}))
    await fleet.api.patch(f"/nodes/{other.id}", json={"state": "active"})
    await eventually(lambda: are_running(fleet, one, proxies), 30)
    async with loaded(fleet, client, users=3) as load:
        began, body = time.monotonic(), {"state": "draining", "move": True, "overlap_s": overlap_s}
        succeeded(await fleet.api.patch(f"/nodes/{one.id}", json=body))
        await eventually(lambda: is_empty(fleet, one), within_s)
        took_s = time.monotonic() - began
    print(f"{proxies} proxies moved in {took_s:.1f} s, {load.done} requests meanwhile")
    assert load.failures == []
    assert load.done > 20
    items = succeeded(await fleet.api.get("/proxies?limit=1000")).json()["items"]
    assert {each["node_id"] for each in items} == {other.id}


async def are_running(fleet: Cluster, node: Node, count: int) -> bool:
    status = (await shown_node(fleet, node))["status"]
    return status["running"] == count


async def is_empty(fleet: Cluster, node: Node) -> bool:
    """Nothing is left, and the node itself has said so."""
    now = await shown_node(fleet, node)
    return bool(now["moving"]["emptied_at"]) and now["status"]["count"] == 0


async def test_a_node_with_twenty_proxies_is_emptied_and_no_request_fails(fleet: Cluster, client: Client):
    await drained_under_load(fleet, client, proxies=20, overlap_s=2, within_s=15)


@pytest.mark.long
async def test_a_node_with_two_hundred_proxies_is_emptied_and_no_request_fails(fleet: Cluster, client: Client):
    await drained_under_load(fleet, client, proxies=200, overlap_s=3, within_s=60)


async def test_an_offline_node_is_removed_and_its_proxies_serve_elsewhere(fleet: Cluster, client: Client):
    one, other = fleet.nodes.values()
    proxy = await made(fleet, location_id=1)
    home, away = (one, other) if proxy["node_id"] == one.id else (other, one)
    await fleet.halt(home.agent.name)
    async with rows(fleet) as database:
        await database.execute("UPDATE node_status SET online = false WHERE node_id = $1", home.id)
    answer = await fleet.api.delete(f"/nodes/{home.id}?proxies=move")
    assert answer.status_code == 204, answer.text

    async def serves() -> bool:
        now = succeeded(await fleet.api.get(f"/proxies/{proxy['id']}")).json()
        return (now["node_id"], now["status"]["state"]) == (away.id, "running")

    await eventually(serves, 10)
    await client.use(succeeded(await fleet.api.get(f"/proxies/{proxy['id']}")).json())
