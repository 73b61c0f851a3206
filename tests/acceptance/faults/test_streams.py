"""Connections that carry data all the while: nothing that happens around them takes a byte."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.acceptance.conftest import made
from tests.clients.traffic import Client, Tunnel
from tests.cluster.cluster import Cluster, succeeded
from tests.cluster.load import Load

BEAT_S = 0.4
"""A pause between two rounds of one stream: hundreds of them share one core with the test."""
SLOWEST_S = 40.0
"""A round that takes longer counts as a stalled connection."""

pytestmark = pytest.mark.long


@asynccontextmanager
async def streaming(tunnels: list[Tunnel]) -> AsyncIterator[list[int]]:
    """Random bytes go round through each and are compared; the rounds of each. A byte lost fails the test."""
    rounds, over = [0] * len(tunnels), asyncio.Event()

    async def stream(number: int) -> None:
        while not over.is_set():
            async with asyncio.timeout(SLOWEST_S):
                await exchange(tunnels[number])
            rounds[number] += 1
            await asyncio.sleep(BEAT_S)

    async with asyncio.TaskGroup() as group:
        for number in range(len(tunnels)):
            group.create_task(stream(number))
        yield rounds
        over.set()
    assert min(rounds) >= 1


async def exchange(tunnel: Tunnel) -> None:
    """Raises AssertionError, OSError, EOFError."""
    sent = random.randbytes(1024)
    tunnel.writer.write(sent)
    await tunnel.writer.drain()
    assert await tunnel.reader.readexactly(len(sent)) == sent


async def opened(client: Client, proxies: list[dict[str, Any]], count: int) -> list[Tunnel]:
    return [await client.tunnel(proxies[number % len(proxies)]) for number in range(count)]


@pytest.mark.parametrize(
    ("connections", "away_s"), [(100, 10), pytest.param(500, 60, marks=pytest.mark.long)], ids=["normal", "long"]
)
async def test_no_connection_is_dropped_while_master_broker_and_database_are_killed_and_come_back(
    fleet: Cluster, client: Client, connections: int, away_s: int
):
    proxies = [await made(fleet, node_ids=[number]) for number in (1, 2)]
    async with streaming(await opened(client, proxies, connections)) as rounds:
        for who in ("master", "rabbitmq", "postgres"):
            await fleet.kill(who)
        before = list(rounds)
        await asyncio.sleep(away_s)  # the outage itself
        assert all(now > then for now, then in zip(rounds, before, strict=True))
        async with asyncio.TaskGroup() as group:
            for who in ("postgres", "rabbitmq"):
                group.create_task(fleet.start(who))
        await fleet.start("master")
        began = time.monotonic()
        added = [await made(fleet, node_ids=[number]) for number in (1, 2)]
        assert time.monotonic() - began < 5
        for proxy in added:
            await client.use(proxy)


@pytest.mark.parametrize(
    ("changes", "connections"), [(150, 40), pytest.param(1000, 200, marks=pytest.mark.long)], ids=["normal", "long"]
)
async def test_no_byte_is_lost_of_one_proxy_while_others_change_at_random(
    fleet: Cluster, client: Client, changes: int, connections: int
):
    proxy = await made(fleet, node_ids=[1])
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with streaming(await opened(client, [proxy], connections)):
        async with Load([fleet.api], random.Random(seed), node_ids=[1]) as load:
            await load.more(changes)
        await fleet.converged(within=30)
    succeeded(await fleet.api.get(f"/proxies/{proxy['id']}"))
