"""How long the lists that a page shows take in a large fleet: 100,000 proxies, a million hours of usage.

    ./dev python -m tests.bench.large_lists [ROUNDS]

Printed are the median and the range of each request over the API, in process, with rows made by SQL.
"""

import asyncio
import statistics
import sys
import time

import httpx

from master.asgi import create_app
from master.db.database import Database
from master.domain.usage import service as usage
from tests.bench.grounds import with_database
from tests.master.dependencies import api_parts
from tests.services.postgres import Database as Address

NODES, STACKS, PROXIES, CUSTOMERS, HOURS, ROTATIONS = 100, 500, 100_000, 400, 10, 1_000_000
FILL = (
    "SET session_replication_role = replica",  # triggers would take minutes
    "INSERT INTO locations (name) SELECT 'loc-' || i FROM generate_series(1, 10) i",
    "INSERT INTO nodes (name, ip, location_id, challenge_hash, broker_password_hash)"
    f" SELECT 'node-' || i, '10.0.0.' || i, 1 + i % 10, 'c' || i, 'h' FROM generate_series(1, {NODES}) i",
    "INSERT INTO stacks (name, spread, proxy)"
    f" SELECT 'stack-' || i, 'nodes', '{{}}' FROM generate_series(1, {STACKS}) i",
    "INSERT INTO proxies (name, node_id, port, protocol, username, password, labels, stack_id)"
    f" SELECT 'proxy-' || i, 1 + i % {NODES}, 20000 + i / {NODES}, 'mixed', 'user' || i, 'p',"
    f" jsonb_build_object('customer', (i % {CUSTOMERS})::text, 'tier', (ARRAY['gold', 'plain'])[1 + i % 2]),"
    f" 1 + i % {STACKS} FROM generate_series(1, {PROXIES}) i",
    "INSERT INTO usage_hours (proxy_id, node_id, hour, location_id, stack_id, received_bytes, sent_bytes, connections,"
    f" refused) SELECT p, 1 + p % {NODES}, date_trunc('hour', now(), 'UTC') - make_interval(hours => h), 1 + p % 10,"
    f" 1 + p % {STACKS}, (random() * 1e8)::bigint, (random() * 1e9)::bigint, (random() * 1000)::bigint,"
    " CASE WHEN random() < 0.05 THEN jsonb_build_object('login', (random() * 10)::int, 'quota', 1) ELSE '{}' END"
    f" FROM generate_series(0, {HOURS - 1}) h, generate_series(1, {PROXIES}) p",
    "INSERT INTO rotations (proxy_id, what, overlap_s, scheduled, actor, state, from_node_id, to_node_id, created_at,"
    f" updated_at) SELECT 1 + i % {PROXIES}, '{{port}}', 60, true, 'schedule',"
    " CASE WHEN i % 10000 = 0 THEN 'failed' ELSE 'done' END,"
    f" 1 + i % {NODES}, 1 + i % {NODES}, now() - make_interval(secs => {ROTATIONS} - i),"
    f" now() - make_interval(secs => {ROTATIONS} - i) FROM generate_series(1, {ROTATIONS}) i",
    "ANALYZE",
)
REQUESTS = (
    "/usage?by=label:customer&sort=-bytes&limit=20",
    "/usage?by=proxy&sort=-bytes&limit=20",
    "/usage?by=location&sort=-bytes",
    "/usage?label=customer:7&sort=-bytes",
    "/usage?by=proxy&limit=50",
    "/usage?by=hour&proxy_id=7",
    "/search?q=proxy-9",
    "/search?q=u",
    "/search?q=10.0.0.7:20005",
    "/labels?kind=proxy",
    "/labels?key=customer&q=7",
    "/rotations?sort=-id",
    "/rotations?sort=-id&state=failed",
    "/rotations?sort=-id&node_id=7",
    "/rotations?sort=-id&proxy_id=7",
    "/rotations?sort=-id&since=2026-01-01T00:00:00Z&limit=1000",
)


async def measured(address: Address, rounds: int) -> None:
    database = Database(address.connect)
    async with address.connection() as rows:
        for statement in FILL:
            await rows.execute(statement)
    async with database.session() as session:
        began = time.perf_counter()
        await usage.roll_up(session)
        hours = (time.perf_counter() - began) / (HOURS - 1)
    async with address.connection() as rows:
        await rows.execute("VACUUM ANALYZE")
    print(f"{PROXIES} proxies of {CUSTOMERS} customers, {PROXIES * HOURS} hours of usage, {ROTATIONS} rotations")
    print(f"  rolling up an hour of {PROXIES} proxies: {hours:.1f} s")
    transport = httpx.ASGITransport(app=create_app(api_parts(database)))
    async with httpx.AsyncClient(transport=transport, base_url="http://master", timeout=60) as http:
        for request in REQUESTS:
            print(f"  {request:60} {await timed(http, request, rounds)}", flush=True)
    await database.close()


async def timed(http: httpx.AsyncClient, request: str, rounds: int) -> str:
    times: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        answer = await http.get(request)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    kept = times[1:]  # the first opens a connection
    return f"median {statistics.median(kept):6.1f} ms ({min(kept):.1f}-{max(kept):.1f})"


async def main() -> None:
    async with with_database() as address:
        await measured(address, int(sys.argv[1]) if len(sys.argv) > 1 else 15)


if __name__ == "__main__":
    asyncio.run(main())
