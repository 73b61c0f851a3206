"""What a token with a filter reads of a large fleet, beside an admin who asks for the same part, one after the other.

    ./dev python -m tests.bench.narrowed [PROXIES] [ROUNDS]

The fleet is that of tests.bench.fleet_queries, with ten events and ten hours of usage for each proxy, and as many
removed proxies. Printed are the median and the range of the time until the whole answer is read.
"""

import asyncio
import sys
import time
from collections.abc import Mapping

import httpx

from tests.bench.fleet_queries import filled, summary
from tests.bench.grounds import with_database, with_master
from tests.master.narrowed import SCOPES
from tests.services.postgres import Database

HISTORY = (
    "SET session_replication_role = replica",
    "INSERT INTO events (type, actor, node_id, proxy_id, stack_id, location_id)"
    " SELECT 'proxy.updated', 'api', p.node_id, p.id, p.stack_id, n.location_id"
    " FROM generate_series(1, 10) AS hour CROSS JOIN proxies p JOIN nodes n ON n.id = p.node_id",
    "INSERT INTO usage_hours (proxy_id, node_id, hour, location_id, received_bytes, sent_bytes, connections,"
    " refused, stack_id) SELECT p.id, p.node_id, date_trunc('hour', now()) - hour * interval '1 hour', n.location_id,"
    " 1000, 1000, 1, '{}', p.stack_id"
    " FROM generate_series(1, 10) AS hour CROSS JOIN proxies p JOIN nodes n ON n.id = p.node_id",
    "INSERT INTO former_proxies (proxy_id, node_id, name, labels, stack_id)"
    " SELECT 10000000 + id, node_id, name, labels, stack_id FROM proxies",
    "UPDATE node_status SET cpu = 0.1, memory = 0.1, rx_bps = 1, tx_bps = 1",
    "SET session_replication_role = origin",
    "ANALYZE",
)
FILTERS: Mapping[str, tuple[Mapping[str, str | int], str]] = {
    "label": ({"label": "customer:7"}, "label=customer:7"),
    "stack": ({"stack": 7}, "stack_id=7"),
    "location": ({"location": 7}, "location_id=7"),
}
PATHS = (
    "/proxies",
    "/proxies?sort=name",
    "/proxies/count?by=state,node",
    "/proxies/export",
    "/proxies/{proxy}",
    "/usage?by=proxy",
    "/nodes",
    "/stacks",
    "/events",
    "/events?order=desc",
    "/search?q=1",
)
UNFILTERED = ("/nodes", "/stacks", "/events", "/events?order=desc", "/search?q=1")
"""An admin reads these without a filter."""


async def measured(url: str, rounds: int) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        for kind, (filter_, parameter) in FILTERS.items():
            body = {"name": kind, "scopes": SCOPES, "filter": filter_}
            token = (await http.post("/tokens", json=body)).raise_for_status().json()["token"]
            own = {"Authorization": f"Bearer {token}"}
            proxy = (await http.get(f"/proxies?{parameter}&limit=1")).json()["items"][0]["id"]
            for path in PATHS:
                text = path.format(proxy=proxy)
                extra = "" if path in UNFILTERED or "{" in path else f"{'&' if '?' in path else '?'}{parameter}"
                times: tuple[list[float], list[float]] = ([], [])
                for _ in range(rounds + 1):
                    times[0].append(await read(http, text, own))
                    times[1].append(await read(http, text + extra, {}))
                print(f"{kind:9} {path:30} {summary(times[0][1:])}, admin {summary(times[1][1:])}", flush=True)


async def read(http: httpx.AsyncClient, path: str, headers: Mapping[str, str]) -> float:
    began = time.perf_counter()
    answer = await http.get(path, headers=headers)
    answer.raise_for_status()
    return (time.perf_counter() - began) * 1000


async def with_history(database: Database, proxies: int) -> None:
    await filled(database, proxies)
    async with database.connection() as rows:
        for statement in HISTORY:
            await rows.execute(statement)


async def main() -> None:
    proxies, rounds = (int(text) for text in (*sys.argv[1:3], *("100000", "9")[len(sys.argv) - 1 :]))
    async with with_database() as database:
        await with_history(database, proxies)
        async with with_master(database) as (url, _):
            print(f"{proxies} proxies, {rounds} rounds: median (range) of a token with a filter, and of an admin")
            await measured(url, rounds)


if __name__ == "__main__":
    asyncio.run(main())
