"""Rotation in a real cluster: make before break under load, on a schedule among masters, and checks."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.acceptance.conftest import eventually, made, widened
from tests.clients.traffic import Client, Refused
from tests.cluster.cluster import Cluster, succeeded
from tests.services.ports import BLOCK

REREAD_S = 0.5
TURNS = (["credentials"], ["port"], ["node"], ["credentials", "port"], ["credentials", "port", "node"])


class Load:
    """A client that re-reads its list of proxies every now and then, and uses them without end."""

    def __init__(self, fleet: Cluster, client: Client) -> None:
        self._fleet, self._client = fleet, client
        self.proxies: list[dict[str, Any]] = []
        self.done = 0
        self.failures: list[str] = []

    async def read(self) -> None:
        self.proxies = succeeded(await self._fleet.api.get("/proxies?limit=1000")).json()["items"]

    async def keep_reading(self) -> None:
        while True:
            await asyncio.sleep(REREAD_S)
            await self.read()

    async def keep_using(self) -> None:
        for turn in range(10**9):
            proxy = self.proxies[turn % len(self.proxies)]
            try:
                tunnel = await self._client.tunnel(proxy)
                await tunnel.beat()
                await tunnel.close()
                self._client.opened.remove(tunnel)
                self.done += 1
            except (OSError, EOFError, TimeoutError, Refused) as error:
                self.failures.append(f"{proxy['id']} at {proxy['port']}: {error!r}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def loaded(fleet: Cluster, client: Client, *, users: int) -> AsyncGenerator[Load]:
    load = Load(fleet, client)
    await load.read()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(load.keep_reading())]
        tasks += [group.create_task(load.keep_using()) for _ in range(users)]
        yield load
        for task in tasks:
            task.cancel()


async def rotated(fleet: Cluster, proxy: dict[str, Any], what: list[str], overlap_s: int) -> dict[str, Any]:
    """The rotation, when its overlap is over."""
    path, wish = f"/proxies/{proxy['id']}/rotate", {"what": what, "overlap_s": overlap_s}
    begun = succeeded(await fleet.api.post(path, json=wish, headers={"Prefer": "wait=30"})).json()["rotation"]

    async def over() -> bool:
        begun.update(succeeded(await fleet.api.get(f"/rotations/{begun['id']}")).json())
        return begun["state"] in ("done", "failed")

    await eventually(over, overlap_s + 20)
    return begun


async def rotate_under_load(fleet: Cluster, client: Client, *, proxies: int, rounds: int, overlap_s: int) -> Load:
    all_of_them = [await made(fleet) for _ in range(proxies)]

    async def keep_rotating(number: int) -> None:
        for turn in range(rounds):
            what = TURNS[(number + turn) % len(TURNS)]
            outcome = await rotated(fleet, all_of_them[number], what, overlap_s)
            assert (outcome["state"], outcome["reason"]) == ("done", None)

    async with loaded(fleet, client, users=3) as load, asyncio.TaskGroup() as group:
        for number in range(proxies):
            group.create_task(keep_rotating(number))
    return load


async def test_ten_rotations_of_every_kind_fail_no_request_of_a_client_that_reads_its_list_again(
    fleet: Cluster, client: Client
):
    load = await rotate_under_load(fleet, client, proxies=5, rounds=2, overlap_s=3)
    print(f"{load.done} requests")
    assert load.failures == []
    assert load.done > 20


@pytest.mark.long
async def test_a_hundred_rotations_fail_no_request_of_a_client_that_reads_its_list_again(
    fleet: Cluster, client: Client
):
    load = await rotate_under_load(fleet, client, proxies=10, rounds=10, overlap_s=5)
    print(f"{load.done} requests")
    assert load.failures == []


async def test_a_check_goes_through_the_proxy_and_names_the_step_that_failed(lone: Cluster, client: Client):
    proxy = await made(lone)
    path = f"/proxies/{proxy['id']}"
    checked = succeeded(await lone.api.post(f"{path}/check", json={})).json()
    assert (checked["ok"], checked["exit_ip"], checked["step"]) == (True, "127.0.0.1", None)
    dead = {"target": "http://127.0.0.1:1/"}
    assert succeeded(await lone.api.post(f"{path}/check", json=dead)).json()["step"] == "destination"
    succeeded(await lone.api.patch(path, json={"enabled": False}, headers={"Prefer": "wait=10"}))
    assert succeeded(await lone.api.post(f"{path}/check", json={})).json()["step"] == "connect"


async def test_a_new_endpoint_that_cannot_run_leaves_the_old_one_in_use(lone: Cluster, client: Client):
    proxy = await made(lone)
    kept = await client.tunnel(proxy)
    node = next(each for each in lone.nodes.values() if each.id == proxy["node_id"])
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", proxy["port"] + 1)
    async with server:
        outcome = await rotated(lone, proxy, ["port"], 1)
    assert (node.id, outcome["state"]) == (proxy["node_id"], "failed")
    assert f"port {proxy['port'] + 1} is taken" in outcome["reason"]
    await kept.beat()
    await client.use(proxy)
    assert (await rotated(lone, proxy, ["port"], 1))["state"] == "done"


@asynccontextmanager
async def rows(fleet: Cluster) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(**fleet.database.connect)
    try:
        yield connection
    finally:
        await connection.close()


async def scheduled(fleet: Cluster, count: int) -> None:
    """So many proxies, whose turn comes once an hour."""
    wish = {"location_id": 1, "rotation": {"every_s": 3600, "what": ["credentials"], "overlap_s": 0}}
    for _ in range(count):
        succeeded(await fleet.api.post("/proxies", json=wish))


async def turns_come(fleet: Cluster, within_s: float) -> None:
    """All of them, spread over this time."""
    async with rows(fleet) as database:
        await database.execute("UPDATE schedules SET next_at = now() + make_interval(secs => random() * $1)", within_s)


async def are_taken(fleet: Cluster) -> bool:
    """Whether no turn is due any more."""
    async with rows(fleet) as database:
        return not await database.fetchval("SELECT count(*) FROM schedules WHERE next_at <= now()")


async def is_over(fleet: Cluster, count: int) -> bool:
    """Whether so many rotations have ended."""
    async with rows(fleet) as database:
        ended = await database.fetchval("SELECT count(*) FROM rotations WHERE state IN ('done', 'failed')")
    return ended >= count and await are_taken(fleet)


async def outcomes(fleet: Cluster) -> Counter[tuple[str, int]]:
    """(event, how often it was told of one proxy), with how many proxies."""
    async with rows(fleet) as database:
        found = await database.fetch(
            "SELECT type, count(*) FROM events WHERE type IN ('proxy.rotated', 'proxy.rotation_failed')"
            " GROUP BY proxy_id, type"
        )
    return Counter((row["type"], row["count"]) for row in found)


async def rotate_while_masters_die(fleet: Cluster, *, count: int, within_s: float, every_s: float) -> None:
    await fleet.master()
    ports = await widened(fleet, count + BLOCK)
    await scheduled(fleet, count)
    await turns_come(fleet, within_s)
    for turn in range(int(within_s / every_s)):
        await asyncio.sleep(every_s)
        victim = ("master", "master-2")[turn % 2]
        await fleet.kill(victim)
        await fleet.start(victim)
    await eventually(lambda: is_over(fleet, count), 120)
    assert await outcomes(fleet) == {("proxy.rotated", 1): count}
    ports.close()


async def test_forty_scheduled_rotations_over_two_masters_that_die_happen_once_each(fleet: Cluster):
    await rotate_while_masters_die(fleet, count=40, within_s=6, every_s=2)


@pytest.mark.long
async def test_a_thousand_scheduled_rotations_over_two_masters_that_die_happen_once_each(fleet: Cluster):
    await rotate_while_masters_die(fleet, count=1000, within_s=60, every_s=10)


async def test_a_node_that_is_away_has_its_turn_once_when_it_is_back(lone: Cluster):
    await scheduled(lone, 1)
    [proxy] = succeeded(await lone.api.get("/proxies")).json()["items"]
    away = next(name for name, node in lone.nodes.items() if node.id == proxy["node_id"])
    await lone.kill(away)
    for _ in range(2):
        await turns_come(lone, 0)
        await eventually(lambda: are_taken(lone), 10)
    assert await outcomes(lone) == {}
    await lone.start(away)
    await eventually(lambda: is_over(lone, 1), 60)
    assert await outcomes(lone) == {("proxy.rotated", 1): 1}
