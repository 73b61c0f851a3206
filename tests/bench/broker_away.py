"""Proxies made while the broker is down: how long the API takes, and when all of them run once it is back.

    ./dev python -m tests.bench.broker_away [COUNT]

The broker is killed, and started again when all are asked for; `back` counts from the moment at which it is usable.
"""

import asyncio
import statistics
import sys
import time

from tests.bench.create_to_accept import accepted
from tests.cluster import Cluster, cluster, succeeded
from tests.services import Where, find_source
from tests.services.folders import remove, scratch
from tests.services.ports import claim_block


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    folder = scratch()
    with claim_block().held() as ports:
        where = Where(find_source(print), folder, ports, print)
        postgres, rabbitmq = await where.postgres(), await where.rabbitmq()
        try:
            await asyncio.gather(postgres.start(), rabbitmq.start())  # noqa: TID251 (a script)
            database, vhost = await postgres.create("bench"), await rabbitmq.create("bench")
            async with cluster(where, postgres, rabbitmq, database, vhost) as made:
                for _ in range(2):
                    await made.node()
                await measure(made, count)
        finally:
            await postgres.end()
            await rabbitmq.end()
    remove(folder)


async def measure(made: Cluster, count: int) -> None:
    nodes = [node.id for node in made.nodes.values()]
    await made.kill("rabbitmq")
    answers, proxies = [], []
    for _ in range(count):
        began = time.perf_counter()
        proxies.append(succeeded(await made.api.post("/proxies", json={"node_ids": nodes})).json())
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
