"""Data that goes back, is unreadable or does not fit on the disk, and clocks that are wrong."""

import asyncio
from typing import Any

import pytest

from tests.acceptance.conftest import eventually, made, shown
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, succeeded
from tests.launch.registry import ROOT

HEALED_S = 60


async def has_event(fleet: Cluster, type_: str) -> bool:
    return bool(succeeded(await fleet.api.get("/events", params={"type": type_})).json()["items"])


async def state_of(fleet: Cluster, proxy: dict[str, Any]) -> str:
    return (await shown(fleet, proxy))["status"]["state"]


async def test_a_database_restored_from_a_backup_wins_with_versions_above_all_that_was_seen(
    lone: Cluster, client: Client
):
    stays, changes = await made(lone, node_ids=[1]), await made(lone, node_ids=[1])
    kept = await client.tunnel(stays)
    backup = await lone.backup_database()
    for number in range(3):
        change = {"password": f"another-one-{number}"}
        newest = succeeded(await lone.api.patch(f"/proxies/{changes['id']}", json=change)).json()["version"]
    await made(lone, node_ids=[1])
    await lone.converged(within=HEALED_S)
    await lone.restore_database(backup)
    await lone.converged(within=HEALED_S)
    await eventually(lambda: has_event(lone, "node.database_rolled_back"), 30)
    assert (await shown(lone, changes))["version"] > newest
    await made(lone, node_ids=[1])
    await lone.converged(within=HEALED_S)
    await kept.beat()


async def test_a_record_that_the_node_cannot_read_fails_alone_with_its_reason(lone: Cluster, client: Client):
    bad, other = await made(lone, node_ids=[1]), await made(lone, node_ids=[1])
    kept = await client.tunnel(other)
    async with lone.database.connection() as database:
        await database.execute("UPDATE proxies SET username = 'a name: with, all' WHERE id = $1", bad["id"])
    await eventually(lambda: failed_with(lone, bad, "cannot read"), 30)
    await client.use(await made(lone, node_ids=[1]))
    succeeded(await lone.api.patch(f"/proxies/{bad['id']}", json={"username": "mended"}))
    await lone.converged(within=HEALED_S)
    await kept.beat()


async def failed_with(fleet: Cluster, proxy: dict[str, Any], reason: str) -> bool:
    status = (await shown(fleet, proxy))["status"]
    return status["state"] == "failed" and reason in status["reason"]


async def test_a_full_disk_of_a_node_stops_no_proxy_and_what_was_asked_is_done_when_there_is_room(lone: Cluster):
    await made(lone, node_ids=[1])
    name = lone.name_of(1)
    await lone.give_disk(name)
    await lone.converged(within=HEALED_S)
    before = await asyncio.to_thread(lone.accepting, name)
    await lone.fill_disk(name)
    for _ in range(60):
        succeeded(await lone.api.post("/proxies", json={"node_ids": [1]}))
    await eventually(lambda: logged(lone, name, "store.write_failed"), 30)
    assert set(before) <= set(await asyncio.to_thread(lone.accepting, name))
    await lone.free_disk(name)
    await lone.converged(within=HEALED_S)


async def test_an_agent_that_starts_on_a_full_disk_forgets_nothing_says_so_and_goes_on_when_there_is_room(
    lone: Cluster,
):
    kept = [await made(lone, node_ids=[1]) for _ in range(3)]
    name = lone.name_of(1)
    await lone.give_disk(name)
    await lone.converged(within=HEALED_S)
    before = await asyncio.to_thread(lone.accepting, name)
    await lone.halt(name)
    await lone.fill_disk(name)
    for end in (lone.kill, lone.stop):
        await lone.start(name)
        await eventually(lambda: is_troubled(lone, 1), 30)
        succeeded(await lone.api.patch(f"/proxies/{kept[0]['id']}", json={"limits": {"connections": 7}}))
        await eventually(lambda: logged(lone, name, "store.write_failed"), 30)
        assert await asyncio.to_thread(lone.accepting, name) == before
        await end(name)
    await lone.start(name)
    await lone.free_disk(name)
    await lone.converged(within=HEALED_S)
    await eventually(lambda: state_is(lone, kept[0], "running"), 30)
    assert not list(lone.nodes[name].data.glob("*.broken-*"))
    types = [event["type"] for event in succeeded(await lone.api.get("/events?type=node.*&limit=1000")).json()["items"]]
    assert {"node.troubled", "node.recovered"} <= set(types)


async def is_troubled(fleet: Cluster, node_id: int) -> bool:
    status = succeeded(await fleet.api.get(f"/nodes/{node_id}")).json()["status"]
    return status["state"] == "online" and "cannot be written" in (status["trouble"] or "")


async def state_is(fleet: Cluster, proxy: dict[str, Any], state: str) -> bool:
    return await state_of(fleet, proxy) == state


async def logged(fleet: Cluster, name: str, text: str) -> bool:
    return text in fleet.programs[name].log.read_text()


async def test_a_node_whose_clock_is_set_back_an_hour_is_heard_as_before(lone: Cluster, client: Client):
    name = lone.name_of(1)
    for off in ("3600", "-3600"):
        await restart_with_clock(lone, name, off)
        await client.use(await made(lone, node_ids=[1]))


@pytest.mark.long
async def test_a_master_whose_clock_is_an_hour_off_serves_as_before(fleet: Cluster, client: Client):
    await client.use(await made(fleet))
    for off in ("3600", "-3600"):
        await restart_with_clock(fleet, "master", off)
        proxy = await made(fleet)
        await client.use(proxy)
        nodes = succeeded(await fleet.api.get("/nodes")).json()["items"]
        assert [node["status"]["state"] for node in nodes] == ["online", "online"]


async def restart_with_clock(fleet: Cluster, who: str, seconds_off: str) -> None:
    path = f"{ROOT / 'tests' / 'cluster' / 'wrong_clock'}:{ROOT}"
    fleet.change_surroundings(who, {"PYTHONPATH": path, "CLOCK_OFF_S": seconds_off})
    await fleet.stop(who)
    links = ups(fleet, who)
    await fleet.start(who)
    await eventually(lambda: asyncio.sleep(0, ups(fleet, who) > links), 30)


def ups(fleet: Cluster, who: str) -> int:
    """How often the program has reached the broker."""
    return fleet.programs[who].log.read_text().count('"event": "bus.up"')
