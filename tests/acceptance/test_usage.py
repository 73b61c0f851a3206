"""Limits and usage end to end: asked for on the API, held by the node, told back and summed up."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from node.engine.builtin.pool.processes import worker_names, worker_pid
from tests.acceptance.conftest import eventually, made, shown
from tests.clients.traffic import Client, Refused, Tunnel
from tests.cluster.cluster import Cluster, Node, succeeded
from tests.engines.three_proxy_binaries import binaries

TOLD_WITHIN_S = 40
"""Counters go with a node's regular report, every 15 s or so."""


def state_of(fleet: Cluster, proxy: dict[str, Any], state: str) -> Callable[[], Awaitable[bool]]:
    """Whether the proxy is in this state."""

    async def ask() -> bool:
        return (await shown(fleet, proxy))["status"]["state"] == state

    return ask


async def changed(fleet: Cluster, proxy: dict[str, Any], **wish: Any) -> dict[str, Any]:
    """The proxy when its node has confirmed the change."""
    answer = await fleet.api.patch(f"/proxies/{proxy['id']}", json=wish, headers={"Prefer": "wait=10"})
    return succeeded(answer).json()


async def beats(tunnel: Tunnel) -> int:
    """How many times 100,000 bytes went there and came back before the tunnel ended. Raises TimeoutError."""
    count = 0
    async with asyncio.timeout(10):
        while True:
            try:
                await tunnel.beat(100_000)
            except (ConnectionError, EOFError):
                return count
            count += 1


async def used(fleet: Cluster, query: str) -> dict[str, Any]:
    """The one sum that there is; nothing when there is none."""
    items = succeeded(await fleet.api.get(f"/usage?{query}")).json()["items"]
    return items[0] if items else {}


async def test_a_proxy_whose_traffic_is_spent_is_limited_and_runs_again_when_the_limit_is_raised(
    lone: Cluster, client: Client
):
    proxy, other = await made(lone, limits={"traffic_bytes": 2_000_000}), await made(lone)
    spent, kept = await client.tunnel(proxy), await client.tunnel(other)
    assert await beats(spent) >= 9
    await eventually(state_of(lone, proxy, "limited"), 10)
    assert (await shown(lone, proxy))["status"]["reason"]
    with pytest.raises((Refused, OSError)):
        await client.tunnel(proxy)
    raised = await changed(lone, proxy, limits={"traffic_bytes": 10**9})
    assert raised["status"]["state"] == "running"
    await client.use(proxy)
    await kept.beat()


async def test_a_proxy_whose_time_is_over_is_closed_shown_as_expired_and_revived_by_another_date(
    lone: Cluster, client: Client
):
    proxy = await made(lone)
    tunnel = await client.tunnel(proxy)
    soon = datetime.now(UTC) + timedelta(seconds=2)
    await changed(lone, proxy, limits={"expires_at": soon.isoformat()})
    assert await tunnel.ended(within_s=4)
    await eventually(state_of(lone, proxy, "expired"), 1)
    with pytest.raises((Refused, OSError)):
        await client.tunnel(proxy)
    assert (await changed(lone, proxy, limits={"expires_at": None}))["status"]["state"] == "running"
    await client.use(proxy)


async def test_usage_is_the_bytes_that_were_moved_whoever_is_killed_and_stays_when_the_proxy_goes(
    lone: Cluster, client: Client
):
    proxy = await made(lone, node_ids=[1], name="counted")
    node = next(node.agent.name for node in lone.nodes.values() if node.id == 1)
    tunnel = await client.tunnel(proxy)
    query = f"by=proxy&proxy_id={proxy['id']}"

    async def both_are(moved: int) -> bool:
        sums = await used(lone, query)
        assert sums.get("received_bytes", 0) <= moved + HEADS
        assert sums.get("sent_bytes", 0) <= moved + HEADS
        return min(sums.get("received_bytes", 0), sums.get("sent_bytes", 0)) >= moved

    await tunnel.beat(100_000)
    await eventually(lambda: both_are(100_000), TOLD_WITHIN_S)
    for who in (node, "master"):
        await tunnel.beat(100_000)
        await lone.kill(who)
        await lone.start(who)
    await eventually(lambda: both_are(300_000), TOLD_WITHIN_S)
    await tunnel.beat(50_000)
    succeeded(await lone.api.delete(f"/proxies/{proxy['id']}", headers={"Prefer": "wait=10"}))
    await eventually(lambda: both_are(350_000), TOLD_WITHIN_S)
    assert (await used(lone, query))["proxy_name"] == "counted"


async def moved_while_programs_die(fleet: Cluster, client: Client, *, kills: int, every_s: float) -> None:
    """Agent, worker and master are killed in turns, at random moments, while data go there and back at a known pace."""
    proxy = await made(fleet, node_ids=[1])
    node = next(node for node in fleet.nodes.values() if node.id == 1)
    dice, moved, lives, at_risk = random.Random(kills), 0, 1, 0
    tunnel = await client.tunnel(proxy)
    for number in range(kills):
        until = time.monotonic() + every_s * (0.5 + dice.random())
        while time.monotonic() < until:
            await tunnel.beat(BEAT)
            moved += BEAT
            await asyncio.sleep(0.1)
        if number % 3 == 0:
            kill_workers(node)
            lives, at_risk = lives + 1, at_risk + FLUSH_BEATS * BEAT
            tunnel = await eventually_a_tunnel(client, proxy)
        else:
            who = node.agent.name if number % 3 == 1 else "master"
            await fleet.kill(who)
            await fleet.start(who)
    await tunnel.close()

    async def is_told() -> bool:
        sums = await used(fleet, f"by=proxy&proxy_id={proxy['id']}")
        told = [sums.get("received_bytes", 0), sums.get("sent_bytes", 0)]
        print(f"{moved} bytes moved in {lives} lives; counted {told}")
        assert max(told) <= moved + lives * (HEADS + BEAT)
        return min(told) >= moved - at_risk

    await eventually(is_told, TOLD_WITHIN_S)
    await asyncio.sleep(TOLD_WITHIN_S / 2)
    assert await is_told()


def kill_workers(node: Node) -> None:
    """All that the node has."""
    directory = node.data / "builtin"
    pids = [pid for name in worker_names(directory) if (pid := worker_pid(directory, *name)) is not None]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def eventually_a_tunnel(client: Client, proxy: dict[str, Any]) -> Tunnel:
    async with asyncio.timeout(10):
        while True:
            with suppress(Refused, OSError, EOFError):
                return await client.tunnel(proxy)
            await asyncio.sleep(0.05)


@pytest.mark.long
async def test_twenty_kills_in_ten_minutes_lose_a_second_of_counting_each_and_count_nothing_twice(
    fleet: Cluster, client: Client
):
    await moved_while_programs_die(fleet, client, kills=20, every_s=29)


BEAT = 20_000
FLUSH_BEATS = 15
"""How often that goes within the second in which counters are not yet on disk, with some room."""
HEADS = 400
"""Bytes of the request for a tunnel and of its answer, which belong to what a client has sent and got."""


@pytest.mark.skipif(not binaries(), reason="3proxy is neither named by THREE_PROXY nor on PATH")
async def test_what_3proxy_counts_when_a_connection_ends_is_usage_too(lone: Cluster, client: Client):
    proxy = await made(lone, engine="3proxy", protocol="http")
    tunnel = await client.tunnel(proxy)
    await tunnel.beat(100_000)
    await tunnel.close()

    async def is_told() -> bool:
        sums = await used(lone, f"by=proxy&proxy_id={proxy['id']}")
        return sums.get("received_bytes", 0) >= 100_000 and sums.get("sent_bytes", 0) >= 100_000

    await eventually(is_told, TOLD_WITHIN_S)
