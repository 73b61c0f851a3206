"""Proxies made while the broker is down: how long the API takes, and when all of them run once it is back.

    ./dev python -m tests.bench.broker_away [COUNT]

The broker is killed, and started again when all are asked for; `back` counts from the moment at which it is usable.
"""

import asyncio
import statistics
import sys
import time

from tests.bench.create_to_accept import accepted
from tests.bench.grounds import two_nodes
from tests.cluster.cluster import Cluster, succeeded


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    async with two_nodes() as made:
        await measure(made, count)


async def measure(made: Cluster, count: int) -> None:
    await made.kill("rabbitmq")
    answers, proxies = [], []
    for _ in range(count):
        began = time.perf_counter()
        proxies.append(succeeded(await made.api.post("/proxies", json={"location_id": 1})).json())
        answers.append((time.perf_counter() - began) * 1000)
    ordered = sorted(answers)
    p99 = ordered[min(count - 1, int(count * 0.99))]
    print(f"POST /proxies, broker down: median {statistics.median(ordered):.1f} ms, p99 {p99:.1f} ms, n {count}")
    await made.start("rabbitmq")
    began = time.time()
    run = max([await accepted(proxy) for proxy in proxies])
    print(f"all {count} accept {max(run - began, 0):.1f} s after the broker is back")


if __name__ == "__main__":
    asyncio.run(main())
