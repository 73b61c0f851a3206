"""Nodes that are emptied, removed and replaced in a real cluster, while clients use their proxies."""

import asyncio
import os
import time
from typing import Any

import pytest

from tests.acceptance.conftest import eventually, made, shown
from tests.acceptance.test_rotation import loaded, rows
from tests.clients.traffic import Client, accepts
from tests.cluster.cluster import Cluster, Node, succeeded


async def shown_node(fleet: Cluster, node: Node) -> dict[str, Any]:
    return succeeded(await fleet.api.get(f"/nodes/{node.id}")).json()


def host_of_its_own(number: int) -> str:
    """A loopback address whose ports no other test run uses."""
    pid = os.getpid()
    return f"127.{1 + (pid >> 8) % 250}.{pid % 256}.{number}"


async def drained_under_load(fleet: Cluster, client: Client, *, proxies: int, overlap_s: int, within_s: float) -> None:
    """From the first node to the second. Raises AssertionError for a request that fails and for lost time."""
    one, other = list(fleet.nodes.values())[:2]
    wish = {"node_ids": [one.id]}
    for _ in range(proxies):
        succeeded(await fleet.api.post("/proxies", json=wish))
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
@pytest.mark.parametrize("proxies", [200, 1000])
async def test_a_node_with_hundreds_of_proxies_is_emptied_and_no_request_fails(
    bare: Cluster, client: Client, proxies: int
):
    succeeded(await bare.api.post("/locations", json={"name": "home"}))
    for number in (1, 2):
        node = await bare.launch(host=host_of_its_own(number))
        await bare.enrol(node, location_id=1)
        ports = {"limits": {"ports": "20000-21999"}}
        succeeded(await bare.api.patch(f"/nodes/{node.id}", json=ports))
    await drained_under_load(bare, client, proxies=proxies, overlap_s=3, within_s=proxies / 4)


async def drained_while_masters_die(fleet: Cluster, client: Client, *, proxies: int, every_s: float) -> None:
    """Two masters, one of which is killed every so often: each proxy moves once, and no request fails."""
    await fleet.master()
    one, other = list(fleet.nodes.values())[:2]
    for _ in range(proxies):
        succeeded(await fleet.api.post("/proxies", json={"node_ids": [one.id]}))
    await eventually(lambda: are_running(fleet, one, proxies), 30)
    async with loaded(fleet, client, users=2) as load:
        body = {"state": "draining", "move": True, "overlap_s": 4}
        succeeded(await fleet.api.patch(f"/nodes/{one.id}", json=body))
        for _ in range(3):
            await asyncio.sleep(every_s)
            await fleet.kill("master-2")
            await fleet.start("master-2")
        await eventually(lambda: is_empty(fleet, one), 60)
    assert load.failures == []
    query = f"/events?type=proxy.rotated&node_id={other.id}&limit=1000"
    moved = [each["proxy_id"] for each in succeeded(await fleet.api.get(query)).json()["items"]]
    assert len(moved) == len(set(moved)) == proxies


@pytest.mark.long
async def test_a_node_is_emptied_while_masters_die_and_each_proxy_moves_once(fleet: Cluster, client: Client):
    await drained_while_masters_die(fleet, client, proxies=40, every_s=0.7)


async def serves_on(fleet: Cluster, client: Client, proxy: dict[str, Any], node: Node) -> bool:
    """Whether the proxy is on this node, and really serves there."""
    now = await shown(fleet, proxy)
    if (now["node_id"], now["host"], now["status"]["state"]) != (node.id, node.host, "running"):
        return False
    await client.use(now)
    return True


async def test_an_offline_node_is_removed_and_its_proxies_serve_elsewhere(fleet: Cluster, client: Client):
    proxy = await made(fleet)
    home, away = sorted(fleet.nodes.values(), key=lambda node: node.id != proxy["node_id"])
    await fleet.halt(home.agent.name)
    async with rows(fleet) as database:
        await database.execute("UPDATE node_status SET online = false WHERE node_id = $1", home.id)
    answer = await fleet.api.delete(f"/nodes/{home.id}?proxies=move")
    assert answer.status_code == 204, answer.text
    await eventually(lambda: serves_on(fleet, client, proxy, away), 10)


async def test_a_node_that_is_removed_goes_when_its_proxies_serve_elsewhere(fleet: Cluster, client: Client):
    proxy = await made(fleet)
    home, away = sorted(fleet.nodes.values(), key=lambda node: node.id != proxy["node_id"])
    async with loaded(fleet, client, users=2) as load:
        answer = await fleet.api.delete(f"/nodes/{home.id}?proxies=move&overlap_s=2")
        assert (answer.status_code, answer.headers["location"]) == (202, f"/nodes/{home.id}")

        async def is_gone() -> bool:
            return (await fleet.api.get(f"/nodes/{home.id}")).status_code == 404

        await eventually(is_gone, 15)
    assert load.failures == []
    assert await serves_on(fleet, client, proxy, away)
    assert not await accepts(proxy)


async def replaced(fleet: Cluster, old: Node) -> Node:
    """By a new box that has just been started."""
    new = await fleet.launch(host=host_of_its_own(9))
    new.id = old.id
    succeeded(await fleet.api.post(f"/nodes/{old.id}/replace", json=await fleet.challenge(new)))
    return new


async def is_refused(old: Node) -> bool:
    """Whether the old box says that the broker does not accept its login any more."""
    return '"event": "bus.refused"' in old.agent.log.read_text()


async def test_a_new_box_takes_over_and_the_old_one_is_refused_when_it_wakes(fleet: Cluster, client: Client):
    proxies = [await made(fleet) for _ in range(4)]
    old = next(node for node in fleet.nodes.values() if node.id == proxies[0]["node_id"])
    mine = [each for each in proxies if each["node_id"] == old.id]
    await fleet.freeze(old.agent.name)
    new = await replaced(fleet, old)
    for proxy in mine:
        await eventually(lambda one=proxy: serves_on(fleet, client, one, new), 10)
        now = await shown(fleet, proxy)
        same = ("id", "port", "username", "password", "version")
        assert {name: now[name] for name in same} == {name: proxy[name] for name in same}
    before = await shown_node(fleet, new)
    await fleet.thaw(old.agent.name)
    await eventually(lambda: is_refused(old), 30)
    for proxy in mine:
        assert await serves_on(fleet, client, proxy, new)
    after = await shown_node(fleet, new)
    assert {name: after[name] for name in ("revision", "ip", "name")} == {
        name: before[name] for name in ("revision", "ip", "name")
    }
    types = {each["type"] for each in succeeded(await fleet.api.get(f"/events?node_id={old.id}")).json()["items"]}
    assert "node.replaced" in types
    assert not types & {"node.cloned", "node.database_rolled_back", "node.drift_repaired"}


async def test_a_box_whose_agent_was_killed_is_refused_when_it_is_started_again(fleet: Cluster, client: Client):
    proxy = await made(fleet)
    old = next(node for node in fleet.nodes.values() if node.id == proxy["node_id"])
    await fleet.kill(old.agent.name)
    new = await replaced(fleet, old)
    await eventually(lambda: serves_on(fleet, client, proxy, new), 10)
    await fleet.start(old.agent.name)
    await eventually(lambda: is_refused(old), 20)
    assert await serves_on(fleet, client, proxy, new)
    changed = await fleet.api.patch(f"/proxies/{proxy['id']}", json={"enabled": False}, headers={"Prefer": "wait=10"})
    assert (changed.status_code, changed.json()["status"]["state"]) == (200, "stopped")
