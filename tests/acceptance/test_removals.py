"""What is taken away goes at once, what vanished by accident stays, and nodes are put aside."""

import asyncio
from typing import Any

from tests.acceptance.conftest import all_proxies, eventually, has_event, is_in, logged, made, shown
from tests.clients.traffic import Client, accepts
from tests.cluster.cluster import Cluster, succeeded


async def test_a_draining_node_takes_no_new_proxies_and_a_disabled_one_stops_its_own(lone: Cluster, client: Client):
    proxy = await made(lone, node_ids=[1])
    open_one = await client.tunnel(proxy)
    succeeded(await lone.api.patch("/nodes/1", json={"state": "draining"}))
    refused = await lone.api.post("/proxies", json={"node_ids": [1]})
    assert (refused.status_code, "draining" in refused.text) == (409, True)
    await open_one.beat()
    succeeded(await lone.api.patch("/nodes/1", json={"state": "disabled"}))
    assert await open_one.ended(within_s=5)
    await eventually(lambda: is_in(lone, proxy, "stopped"), 10)
    assert "disabled" in (await shown(lone, proxy))["status"]["reason"]
    succeeded(await lone.api.patch("/nodes/1", json={"state": "active"}))
    await eventually(lambda: is_in(lone, proxy, "running"), 10)


async def test_rows_that_vanish_by_accident_do_not_stop_proxies_until_somebody_says_so(lone: Cluster, client: Client):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(made(lone, node_ids=[1])) for _ in range(20)]
    kept = await client.tunnel(tasks[0].result())
    async with lone.database.connection() as database:
        await database.execute("DELETE FROM proxies")
    await eventually(lambda: has_event(lone, "node.list_held"), 20)
    await kept.beat()
    node = succeeded(await lone.api.get("/nodes/1")).json()
    assert node["status"]["held"]["stops"] == 20
    answer = await lone.api.post("/nodes/1/sync", json={"confirm": True})
    assert answer.status_code == 202
    assert await kept.ended(within_s=5)


async def test_a_deliberate_mass_delete_is_done_at_once(lone: Cluster):
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(made(lone, node_ids=[1]))
    proxies = await all_proxies(lone)
    answer = await lone.api.request(
        "DELETE", "/proxies", params={"node_id": 1, "expect": 20}, headers={"Prefer": "wait=10"}
    )
    assert answer.status_code in (200, 204), answer.text
    await eventually(lambda: none_accept(proxies), 3)
    assert not await has_event(lone, "node.list_held")


async def none_accept(proxies: list[dict[str, Any]]) -> bool:
    return not any([await accepts(proxy) for proxy in proxies])


async def test_a_removed_nodes_login_is_gone_and_its_proxies_go_on_until_it_is_told(fleet: Cluster):
    answer = await fleet.api.delete("/nodes/2")
    assert answer.status_code == 204
    async with fleet.vhost.management() as broker:
        assert (await broker.get("users/node-2")).status_code == 404
    name = next(node.agent.name for node in fleet.nodes.values() if node.id == 2)
    await eventually(lambda: logged(fleet, name, "bus.refused"), 30)
