"""Pages of a log of millions of events by each filter in both orders, and the price of its indexes for writes.

    ./dev python -m tests.bench.event_log [EVENTS]

The events of 30 days are made by SQL: 100 nodes at 10 locations, 20,000 proxies of which half are in 400 stacks, some
with many more events than others; most events are steps of scheduled rotations. Told are median and range.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from master.actors import acting
from master.db.database import Database
from master.domain.events import log
from master.domain.events.log import NewEvent, record_events
from master.domain.events.schemas import EventList
from tests.bench.grounds import with_database

ROUNDS = 21
WRITES = 15
MANY = 10_000
FILL = """
INSERT INTO events (at, type, node_id, proxy_id, stack_id, location_id, actor, request_id, details)
SELECT
    now() - interval '30 days' + i * (interval '30 days' / $2::bigint),
    CASE
        WHEN r < 0.3 THEN 'proxy.rotated' WHEN r < 0.6 THEN 'proxy.rotation_begun'
        WHEN r < 0.85 THEN 'proxy.rotation_ended' WHEN r < 0.9 THEN 'proxy.updated' WHEN r < 0.93 THEN 'proxy.failed'
        WHEN r < 0.96 THEN 'proxy.recovered' WHEN r < 0.98 THEN 'proxy.created' WHEN r < 0.99999 THEN 'node.online'
        ELSE 'node.updated'
    END,
    1 + p % 100, CASE WHEN r < 0.98 THEN 1 + p END, CASE WHEN r < 0.98 AND p % 2 = 0 THEN 1 + p % 400 END, 1 + p % 10,
    CASE
        WHEN r < 0.85 THEN 'schedule' WHEN r < 0.9 OR r BETWEEN 0.96 AND 0.98 THEN 'api'
        WHEN r < 0.99999 THEN 'node ' || (1 + p % 100) ELSE 'master'
    END,
    CASE WHEN r BETWEEN 0.85 AND 0.9 OR r BETWEEN 0.96 AND 0.98 THEN md5(i::text) END,
    '{"rotation_id": 17, "what": ["credentials"], "scheduled": true, "port": 20001}'
FROM (
    SELECT i, random() AS r, floor(random() ^ 2 * 20000)::bigint AS p FROM generate_series($1::bigint, $3::bigint) AS i
) AS drawn
"""
CHUNK = 1_000_000
OLD_INDEXES = ("events_type_idx", "events_actor_idx", "events_request_id_idx")


def queries(now: datetime, request_id: str) -> dict[str, EventList]:
    day = {"since": now - timedelta(days=12), "until": now - timedelta(days=11)}
    made: dict[str, dict[str, Any]] = {
        "no filter": {},
        "one proxy of 20,000": {"proxy_id": 5_000},
        "one node of 100": {"node_id": 7},
        "one stack of 400": {"stack_id": 7},
        "one location of 10": {"location_id": 3},
        "one request": {"request_id": request_id},
        "actor: api": {"actor": "api"},
        "actor: master, one of 100,000": {"actor": "master"},
        "actor that there is not": {"actor": "nobody"},
        "type: frequent": {"type": ["proxy.rotated"]},
        "type: one of 100,000": {"type": ["node.updated"]},
        "type that there is not": {"type": ["node.flooded"]},
        "types: proxy.*": {"type": ["proxy.*"]},
        "a day, no filter": day,
        "a day of one proxy": {"proxy_id": 5_000, **day},
        "a day of one type": {"type": ["proxy.failed"], **day},
        "node and rare type": {"node_id": 7, "type": ["node.updated"]},
        "node and actor: api": {"node_id": 7, "actor": "api"},
        "node and another node's actor": {"node_id": 7, "actor": "node 9"},
        "stack and type never there": {"stack_id": 7, "type": ["node.online"]},
        "location and another's actor": {"location_id": 3, "actor": "node 9"},
        "type and actor never together": {"type": ["proxy.updated"], "actor": "node 9"},
    }
    return {name: EventList.model_construct(**{"type": [], **fields}) for name, fields in made.items()}


def figures(times: list[float]) -> str:
    return f"median {statistics.median(times):8.2f} ms, {min(times):7.2f} to {max(times):8.2f}"


async def timed(act: Callable[[], Awaitable[Any]], rounds: int) -> list[float]:
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        await act()
        times.append((time.perf_counter() - began) * 1_000)
    return times


async def fill(connection: "asyncpg.Connection[Any]", count: int) -> None:
    began = time.monotonic()
    for first in range(1, count + 1, CHUNK):
        await connection.execute(FILL, first, count, min(first + CHUNK - 1, count), timeout=3_600)
        print(f"{min(first + CHUNK - 1, count):,} events after {time.monotonic() - began:.0f} s", flush=True)
    await connection.execute("VACUUM ANALYZE events", timeout=3_600)
    sizes = (
        "SELECT relname, pg_relation_size(oid) / 1e6 AS mb FROM pg_class WHERE relname ~ '^events' AND relkind <> 'S'"
    )
    for row in await connection.fetch(f"{sizes} ORDER BY relkind DESC, relname"):
        print(f"  {row['relname']:28} {row['mb']:7.0f} MB")


async def read(database: Database, connection: "asyncpg.Connection[Any]") -> None:
    request_id = await connection.fetchval("SELECT request_id FROM events WHERE request_id IS NOT NULL LIMIT 1")
    for name, query in queries(datetime.now(UTC), request_id).items():
        for order in ("desc", "asc"):
            wanted = query.model_copy(update={"order": order})

            async def page(wanted: EventList = wanted) -> int:
                async with database.session() as session:
                    return len(await log.page(session, wanted))

            found = await page()
            print(f"  {name:32} {order:4} {found:3} events: {figures(await timed(page, ROUNDS))}", flush=True)


async def write(database: Database, connection: "asyncpg.Connection[Any]") -> None:
    """Events of one bulk write, and single ones, with the indexes of all filters and without the new ones."""

    async def record(count: int) -> None:
        async with database.transaction() as session:
            with acting("api", f"bench-{time.monotonic_ns()}"):
                events = [NewEvent(type="proxy.updated", proxy_id=1 + i, node_id=1 + i % 100) for i in range(count)]
                await record_events(session, events)

    for indexes in ("all indexes", "without the indexes by type, actor and request"):
        if indexes != "all indexes":
            await connection.execute(f"DROP INDEX {', '.join(OLD_INDEXES)}")
        for count, rounds in ((MANY, WRITES), (1, 10 * WRITES)):
            await record(count)
            print(
                f"  {count:6,} events, {indexes}: {figures(await timed(lambda c=count: record(c), rounds))}", flush=True
            )


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    async with with_database() as address, address.connection() as connection:
        await fill(connection, count)
        database = Database(address.connect)
        print("a page of 50:")
        await read(database, connection)
        print("writes:")
        await write(database, connection)
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
