"""How long from the commit of a new proxy until it accepts a connection, on two local nodes.

    ./dev python -m tests.bench.create_to_accept [COUNT]

The commit is taken as the moment at which the event `proxy.created` was written, the last statement before it; so the
figure holds the commit itself. One proxy is made at a time.
"""

import asyncio
import statistics
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

from tests.bench.grounds import two_nodes
from tests.cluster.cluster import Cluster, succeeded

PAUSE_S = 0.3
"""Between two: longer than the quiet time in which changes of one node melt."""


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    async with two_nodes() as made:
        await measure(made, count)


async def measure(made: Cluster, count: int) -> None:
    waits, answers = [], []
    for _ in range(count):
        began = time.perf_counter()
        proxy = succeeded(await made.api.post("/proxies", json={"location_id": 1})).json()
        answers.append(time.perf_counter() - began)
        accepted_at = await accepted(proxy)
        event = succeeded(await made.api.get("/events", params={"proxy_id": proxy["id"], "type": "proxy.created"}))
        committed_at = datetime.fromisoformat(event.json()["items"][0]["at"].replace("Z", "+00:00")).timestamp()
        waits.append(accepted_at - committed_at)
        await asyncio.sleep(PAUSE_S)
        if len(waits) % 90 == 0:
            await clear(made)
    for name, values in (("commit to accepted", waits), ("POST /proxies answered", answers)):
        ordered = sorted(value * 1000 for value in values)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        print(f"{name}: median {statistics.median(ordered):.1f} ms, p99 {p99:.1f} ms, n {len(ordered)}")


async def accepted(proxy: dict[str, Any]) -> float:
    """The time of day at which its port first took a connection."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(proxy["host"], proxy["port"])
            at = time.time()
            writer.close()
            return at
        await asyncio.sleep(0.0005)


async def clear(made: Cluster) -> None:
    """Nodes have ninety-nine ports here."""
    listed = succeeded(await made.api.get("/proxies", params={"limit": 1000})).json()["items"]
    parameters = {"all": "true", "expect": str(len(listed))}
    succeeded(await made.api.delete("/proxies", params=parameters, headers={"Prefer": "wait=10"}))


if __name__ == "__main__":
    asyncio.run(main())
