"""What counters and live figures cost a master and its database: reports taken one after the other, without a broker.

    ./dev python -m tests.bench.usage_reports [NODES] [PROXIES]

Told are 200 counters that grew, 200 that did not (a repetition), live figures of as many proxies, and none; the rounds
are interleaved.
"""

import asyncio
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from master.db.database import Database
from master.domain.proxies.schemas import ProxyFilter
from master.domain.proxies.service import matching
from master.sync.outbox import Outbox
from master.sync.reports import Reports
from shared.bus.failures import BusDown
from shared.messages.bodies import LiveFigures, LoadReport, Report, UsageCounters
from shared.proxies import NodeId
from tests.bench.grounds import with_database
from tests.master.one_link import OneLink

ROUNDS = 60
COUNTERS = 200
MADE = (
    "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash)"
    " SELECT 'n' || i, '10.0.0.1', 'c' || i, 'h' FROM generate_series(1, $1::integer) i",
    "INSERT INTO proxies (node_id, port, protocol, username, password)"
    " SELECT n, 20000 + p, 'mixed', 'u', 'p' FROM generate_series(1, $1::integer) n, generate_series(1, $2::integer) p",
)


async def main() -> None:
    nodes, proxies = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 1000), (2, 100)))
    async with with_database() as address:
        async with address.connection() as connection:
            await connection.execute(MADE[0], nodes)
            await connection.execute(MADE[1], nodes, proxies)
            await connection.execute("ANALYZE")
        database = Database(address.connect)
        await measure(database, nodes, proxies)
        await database.close()


async def measure(database: Database, nodes: int, proxies: int) -> None:
    links = OneLink()
    reports = Reports(database, Outbox(database, links, "c"))
    async with database.session() as session:
        wanted = await session.row("sync.desired_digest", node_id=1)
        ids = [row["id"] for row in await matching(session, ProxyFilter(node_id=[1]), limit=COUNTERS)]
    assert wanted is not None
    ids = (ids * (COUNTERS // len(ids) + 1))[:COUNTERS]
    kinds: dict[str, Callable[[int], dict[str, Any]]] = {
        "no counters": lambda _: {},
        f"{COUNTERS} that grew": lambda turn: {"usage": told(ids, 1_000_000 * (turn + 1))},
        f"{COUNTERS} told again": lambda turn: {"usage": told(ids, 1_000_000 * (turn + 1))},
        "live figures": lambda turn: {"load": LOAD, "live": live(ids, turn)},
    }
    walls: dict[str, list[float]] = {name: [] for name in kinds}
    cpus: dict[str, list[float]] = {name: [] for name in kinds}
    number = 0
    for turn in range(ROUNDS):
        for name, counters in kinds.items():
            number += 1
            report = Report.model_construct(
                rev=wanted["revision"],
                seen=wanted["revision"],
                top=1,
                digest=f"{int(wanted['digest']) % 2**64:016x}",
                content=f"{int(wanted['content']) % 2**64:016x}",
                count=proxies,
                running=proxies,
                session=1000,
                number=number,
                **counters(turn),
            )
            began, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
            with suppress(BusDown):
                await reports.take(NodeId(1), report, OneLink().connection)
            walls[name].append((time.perf_counter() - began) * 1000)
            cpus[name].append((resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu) * 1000)
    print(f"{nodes} nodes with {proxies} proxies each; a report with:")
    for name in kinds:
        ordered = sorted(walls[name])
        print(
            f"  {name:16} median {statistics.median(ordered):5.1f} ms, p95 {ordered[int(len(ordered) * 0.95)]:5.1f} ms,"
            f" of it the master's CPU {statistics.mean(cpus[name]):4.1f} ms"
        )


LOAD = LoadReport(cpu=0.31, memory=0.42, rx_bps=1, tx_bps=2, connections=312)


def live(ids: list[int], turn: int) -> tuple[LiveFigures, ...]:
    """Figures that change with each turn."""
    return tuple(LiveFigures(id=id_, connections=turn, rx_bps=1000 * turn, tx_bps=9000) for id_ in set(ids))


def told(ids: list[int], sent: int) -> tuple[UsageCounters, ...]:
    """Of a node with fewer proxies several lives of each."""
    return tuple(
        UsageCounters(
            id=id_,
            epoch=1 + place // len(set(ids)),
            sent_bytes=sent,
            received_bytes=sent // 10,
            connections=sent // 1000,
        )
        for place, id_ in enumerate(ids)
    )


if __name__ == "__main__":
    asyncio.run(main())
