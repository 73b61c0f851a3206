"""How many rotations of a whole fleet succeed, and how long they take, while other changes go on.

    ./dev python -m tests.bench.rotations [COUNT] [CHANGERS] [ENGINE]

COUNT proxies on two local nodes are rotated (credentials) by one request, while CHANGERS clients change COUNT / 5
other proxies of the same nodes each, again and again as fast as they are answered.
"""

import asyncio
import random
import sys
import time
from collections import Counter

from tests.bench.grounds import two_nodes
from tests.cluster.cluster import Cluster, succeeded
from tests.services.ports import PortBlock, claim_range

OVERLAP_S = 5
LIMIT_S = 600


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    changers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    async with two_nodes() as made:
        ports = widen(count * 3)
        for node in made.nodes.values():
            limits = {"ports": f"{ports.first + 1}-{ports.first + count * 3}"}
            succeeded(await made.api.patch(f"/nodes/{node.id}", json={"limits": limits}))
        await measure(made, count, changers, sys.argv[3] if len(sys.argv) > 3 else "builtin")
        ports.close()


def widen(size: int) -> PortBlock:
    return claim_range(size - size % 100)


async def measure(made: Cluster, count: int, changers: int, engine: str) -> None:
    names = [f"changed-{number}" for number in range(changers)]
    await grow(made, "rotated", count, engine)
    for name in names:
        await grow(made, name, count // 5, engine)
    began = time.monotonic()
    changes = Counter[str]()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(change(made, name, count // 5, changes)) for name in names]
        query = {"label": "kind:rotated", "expect": str(count)}
        wish = {"what": ["credentials"], "overlap_s": OVERLAP_S}
        asked = succeeded(await made.api.post("/proxies/rotate", params=query, json=wish)).json()
        await ended(made, asked["matched"])
        took = time.monotonic() - began
        for task in tasks:
            task.cancel()
    print(f"{count} rotations ({engine}) beside {changers} changers: {took:.0f} s, {changes.total()} changes meanwhile")
    async with made.database.connection() as rows:
        for row in await rows.fetch(
            "SELECT state, regexp_replace(COALESCE(reason, ''), '[0-9]+', 'N', 'g') AS why, count(*) AS count,"
            " max(extract(epoch FROM updated_at - created_at))::int AS slowest FROM rotations GROUP BY 1, 2"
        ):
            print(dict(row))
        worst = await rows.fetchval("SELECT max(revision - confirmed_rev) FROM nodes JOIN node_status ON node_id = id")
        print(f"revisions not yet confirmed at the end: {worst}")


async def grow(made: Cluster, kind: str, count: int, engine: str) -> None:
    proxy = {"location_id": 1, "labels": {"kind": kind}, "protocol": "http", "engine": engine}
    stack = {"name": kind, "count": count, "proxy": proxy}
    succeeded(await made.api.post("/stacks", json=stack, headers={"Prefer": "wait=60"}, timeout=120))


async def change(made: Cluster, kind: str, count: int, changes: Counter[str]) -> None:
    query = {"label": f"kind:{kind}", "expect": str(count)}
    while True:
        limits = {"limits": {"connections": random.randrange(10, 10_000)}}
        succeeded(await made.api.patch("/proxies", params=query, json=limits, timeout=120))
        changes[kind] += 1


async def ended(made: Cluster, count: int) -> None:
    async with asyncio.timeout(LIMIT_S), made.database.connection() as rows:
        while await rows.fetchval("SELECT count(*) FROM rotations WHERE state IN ('done', 'failed')") < count:
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
