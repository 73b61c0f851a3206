"""A hostile node that floods the master is shut out, and holds up nobody."""

import asyncio
import os
import statistics
import sys

import pytest
from aiormq.exceptions import AMQPError

from tests.master.node_bus import CLUSTER, REPORT, THIEF, Login, Master
from tests.services.rabbitmq import Vhost


async def flooded(vhost: Vhost, count: int) -> tuple[int, float]:
    """Messages that the thief, in a process of its own, got rid of, and the seconds that it took."""
    url = f"amqp://node-{THIEF}:word-{THIEF}@{vhost.host}:{vhost.port}/{vhost.name}"
    flood = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.master.flood", str(THIEF), str(count)),
        env={**os.environ, "AMQP_URL": url, "CLUSTER": CLUSTER},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await flood.communicate()
    sent, seconds = told.split()
    return int(sent), float(seconds)


async def latencies(honest: Login, over: asyncio.Event, least: int) -> list[float]:
    """Of rounds one after the other, until it is over; at least so many."""
    taken: list[float] = []
    while len(taken) < least or not over.is_set():
        taken.append(await honest.round_trip())
        await asyncio.sleep(0.02)
    return taken


async def test_a_flood_of_20000_messages_gets_its_sender_shut_out_and_holds_up_nobody(master: Master, honest: Login):
    over = asyncio.Event()
    over.set()
    before = statistics.median(await latencies(honest, over, 50))
    over.clear()
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(latencies(honest, over, 100))
        sent, seconds = await flooded(master.vhost, 20_000)
        over.set()
    during = measuring.result()
    print(
        f"{sent} messages in {seconds} s; median {before * 1000:.1f} ms before, "
        f"{statistics.median(during) * 1000:.1f} during, slowest {max(during) * 1000:.0f}"
    )
    assert statistics.median(during) < 3 * before + 0.1
    assert max(during) < 5
    assert sent < 4_000
    assert (await master.told("node.flooded"))["node_id"] == THIEF
    with pytest.raises(AMQPError):
        await master.login(THIEF)
    master.check()


async def test_a_node_that_reports_as_fast_as_an_honest_one_ever_does_is_not_shut_out(master: Master, honest: Login):
    for _ in range(5):
        for _ in range(30):
            await honest.send("report", REPORT)
        await honest.round_trip()
    assert "node.flooded" not in {event["type"] for event in await master.events()}
