"""Lists, filters and counts of a large fleet through the API: 1,000 nodes, and proxies made by SQL.

    ./dev python -m tests.bench.fleet_queries [PROXIES] [ROUNDS]

The master serves over a socket in a process of its own. Printed are the median and the range of the time until the
whole answer is read.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence

import httpx

from tests.bench.grounds import with_database, with_master
from tests.services.postgres import Database

NODES = 1000
FILL = (
    "SET session_replication_role = replica",
    "INSERT INTO locations (name) SELECT 'location-' || n FROM generate_series(1, 30) AS n",
    "INSERT INTO stacks (name, spread, proxy) SELECT 'stack-' || n, 'nodes', '{}' FROM generate_series(1, 100) AS n",
    "INSERT INTO nodes (name, ip, location_id, challenge_hash, broker_password_hash, revision)"
    " SELECT 'node-' || n, '10.0.' || n / 256 || '.' || n % 256, 1 + n % 30, n, 'x', 9"
    f" FROM generate_series(1, {NODES}) AS n",
    "INSERT INTO node_status (node_id, online, session, confirmed_rev, reported_at, connections)"
    f" SELECT n, n % 50 <> 0, 1, 9, now(), 100 FROM generate_series(1, {NODES}) AS n",
    "INSERT INTO proxies (name, node_id, port, protocol, username, password, enabled, labels, stack_id, limits,"
    " expires_at, created_at, updated_at)"
    " SELECT CASE WHEN n % 4 = 0 THEN 'Proxy ' || md5(n::text) END, 1 + n % 1000, 20000 + n / 1000,"
    " (ARRAY['http', 'socks5', 'mixed'])[1 + n % 3], left(md5('u' || n), 10), left(md5('p' || n), 16), n % 97 <> 0,"
    " CASE WHEN n % 5 = 0 THEN '{}' ELSE jsonb_build_object('customer', (n % 400)::text, 'tier', 'gold') END,"
    " CASE WHEN n % 2 = 0 THEN 1 + n % 100 END,"
    " CASE WHEN n % 3 = 0 THEN '{\"traffic_bytes\": 1000000000}' ELSE '{}' END::jsonb,"
    " CASE WHEN n % 3 = 0 THEN now() + (n % 90 - 2) * interval '1 day' END,"
    " now() - n * interval '1 minute', now() - (n * 7919 % 100000) * interval '1 minute'"
    " FROM generate_series(1, %d) AS n",
    "INSERT INTO proxy_failures (proxy_id, node_id, version, reason, kind)"
    " SELECT id, node_id, version, 'port 20000 is taken', CASE WHEN id % 3 = 0 THEN 'limited' ELSE 'failed' END"
    " FROM proxies WHERE id % 211 = 0",
    "INSERT INTO proxy_live (proxy_id, node_id, connections, rx_bps, tx_bps, at)"
    " SELECT id, node_id, 3, 100, 1000, now() FROM proxies WHERE id % 2 = 0",
    "INSERT INTO usage_totals (proxy_id, total_bytes, day, day_bytes, month, month_bytes)"
    " SELECT id, id * 7919 % 1000000000, now(), 0, now(), 0 FROM proxies",
    "SET session_replication_role = origin",
    "ANALYZE",
)
PATHS = (
    "/proxies/count?by=state,node",
    "/proxies/count?by=state",
    "/proxies/count?by=label:customer,state",
    "/proxies/count?by=location,state&label=customer",
    "/proxies/count?node_id=7&by=state",
    "/nodes/count?by=state,link,location",
    "/proxies",
    *(f"/proxies?sort={sort}" for sort in ("-id", "name", "-created_at", "updated_at", "-updated_at", "expires_at")),
    "/proxies?q=ab",
    "/proxies?q=proxy 1",
    "/proxies?q=10.0.1",
    "/proxies?q=777",
    "/proxies?label=customer",
    "/proxies?label=customer:7",
    "/proxies?not.label=customer",
    "/proxies?not.label=customer&sort=name",
    "/proxies?label=customer&sort=-updated_at",
    "/proxies?state=failed",
    "/proxies?state=failed&state=unknown&sort=-updated_at",
    "/proxies?state=pending",
    "/proxies?not.state=running",
    "/proxies?reason=port 20000 is taken",
    "/proxies?node_id=7&node_id=8",
    "/proxies?stack_id=7&sort=name",
    "/proxies?expires_before=2030-01-01T00:00:00Z",
    "/proxies?quota_from=80",
    "/proxies?secrets=no&limit=1000",
)


async def measured(url: str, rounds: int) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        for path in PATHS:
            times = [await read(http, path) for _ in range(rounds + 1)][1:]
            print(f"{path:55} {summary(times)}", flush=True)


async def read(http: httpx.AsyncClient, path: str) -> float:
    began = time.perf_counter()
    answer = await http.get(path)
    answer.raise_for_status()
    return (time.perf_counter() - began) * 1000


def summary(times: Sequence[float]) -> str:
    return f"{statistics.median(times):7.1f} ms ({min(times):.1f} to {max(times):.1f})"


async def filled(database: Database, proxies: int) -> None:
    async with database.connection() as rows:
        for statement in FILL:
            await rows.execute(statement.replace("%d", str(proxies)))


async def main() -> None:
    proxies, rounds = (int(text) for text in (*sys.argv[1:3], *("100000", "15")[len(sys.argv) - 1 :]))
    async with with_database() as database:
        await filled(database, proxies)
        async with with_master(database) as (url, _):
            print(f"{proxies} proxies on {NODES} nodes, {rounds} rounds: median (range)")
            await measured(url, rounds)


if __name__ == "__main__":
    asyncio.run(main())
