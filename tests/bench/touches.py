"""The stream beside a fleet that reports: what readers get, and what it costs the masters.

    ./dev python -m tests.bench.touches [NODES] [SECONDS] [READERS]

Each node reports every 15 s to one master; another master has the readers, as tabs of browsers without a filter. Told
are notifications, messages and bytes of each reader, the CPU of both masters together, and the time of a report.
"""

import asyncio
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from master.db.database import Database
from master.db.notifications import Notifications
from master.domain.events.schemas import EventFilter
from master.domain.events.stream import EventStream
from master.sync.housekeeping import FIGURES_EVERY_S
from master.sync.outbox import Outbox
from master.sync.reports import Reports
from shared.bus.failures import BusDown
from shared.messages.bodies import Report, UsageCounters
from shared.proxies import NodeId
from tests.bench.grounds import with_database
from tests.bench.usage_reports import MADE
from tests.master.one_link import OneLink

REPORT_EVERY_S = 15.0
PROXIES = 100
LANES = 8
CONFIRMED = """
UPDATE node_status s
SET online = true, session = 1, rev = n.revision, confirmed_rev = n.revision, count = $1, running = 1
FROM nodes n WHERE n.id = s.node_id
"""
"""Every node is online and has applied everything."""
Fields = Callable[[int, int], dict[str, Any]]
KINDS: dict[str, Fields | None] = {
    "no reports": None,
    "nothing changed": lambda number, _: {"running": 1},
    "counters of one proxy grew": lambda number, node_id: {
        "running": 1,
        "usage": (UsageCounters(id=node_id, epoch=1, received_bytes=number, sent_bytes=number, connections=number),),
    },
    "another number runs each time": lambda number, _: {"running": number // 1_000 % PROXIES},
}


class Counted(Notifications):
    """Counts the notifications of touches."""

    count = 0

    def _heard(self, channel: str, payload: str) -> None:
        self.count += channel in ("maybe_reported", "maybe_touched")
        super()._heard(channel, payload)


async def reporting(reports: Reports, fields: Fields, nodes: int, seconds: float, digests: Any) -> list[float]:
    """The milliseconds that each report took, while all nodes take turns, some at the same time."""
    times: list[float] = []
    async with asyncio.TaskGroup() as group:
        for lane in range(LANES):
            group.create_task(
                reporting_some(reports, fields, range(1 + lane, 1 + nodes, LANES), seconds, digests, times)
            )
    return times


async def reporting_some(
    reports: Reports, fields: Fields, node_ids: Sequence[int], seconds: float, digests: Any, times: list[float]
) -> None:
    turn, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        node_id, number = node_ids[turn % len(node_ids)], time.monotonic_ns()
        turn += 1
        report = Report.model_construct(
            **digests, top=1, count=PROXIES, session=1_000, number=number, **fields(number, node_id)
        )
        at = time.perf_counter()
        with suppress(BusDown):
            await reports.take(NodeId(node_id), report, OneLink().connection)
        times.append((time.perf_counter() - at) * 1_000)
        await asyncio.sleep(began + turn * REPORT_EVERY_S / len(node_ids) - time.monotonic())


async def read(stream: EventStream, got: list[bytes]) -> None:
    async for batch in stream.follow(EventFilter(frozenset(), {}), await stream.start(None)):
        if batch.touched:
            got.append(batch.touched)


async def touching(reports: Reports) -> None:
    while True:
        await asyncio.sleep(FIGURES_EVERY_S)
        await reports.touch_figures()


async def measure(near: Database, far: Database, nodes: int, seconds: float, readers: int) -> None:
    links = OneLink()
    reports = Reports(near, Outbox(near, links, "c"))
    async with near.session() as session:
        wanted = await session.row("sync.desired_digest", node_id=1)
    assert wanted is not None
    revision = wanted["revision"]
    for name, fields in KINDS.items():
        stream = EventStream(far)
        notifications = Counted(far, lambda: None, stream.wake, stream.touches.heard)
        got: list[list[bytes]] = [[] for _ in range(readers)]
        async with asyncio.TaskGroup() as group:
            loops = [stream.run(), notifications.run(), touching(reports), *(read(stream, one) for one in got)]
            tasks = [group.create_task(one) for one in loops]
            await asyncio.sleep(3)  # the LISTEN connection opens, which touches everything
            before, cpu = notifications.count, resource.getrusage(resource.RUSAGE_SELF)
            counts = [len(one) for one in got]
            times = [0.0]
            if fields is None:
                await asyncio.sleep(seconds)
            else:
                times = await reporting(reports, fields, nodes, seconds, digests_of(wanted, revision))
            used = resource.getrusage(resource.RUSAGE_SELF)
            new = [frames for one, seen in zip(got, counts, strict=True) for frames in one[seen:]]
            messages = sum(frames.count(b"event:") for frames in new) / readers
            print(
                f"  {name:30} {len(times):5} reports, {statistics.median(times):5.1f} ms each,"
                f" {(notifications.count - before) / seconds:5.1f} notifications/s,"
                f" a reader got {messages / seconds:4.2f} messages/s,"
                f" {sum(map(len, new)) / readers / seconds / 1_000:5.2f} kB/s,"
                f" CPU {(used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime) / seconds * 100:4.1f} %",
                flush=True,
            )
            for task in tasks:
                task.cancel()


def digests_of(wanted: Any, revision: int) -> dict[str, Any]:
    names = ("digest", "content")
    return {
        **dict.fromkeys(("rev", "seen", "done"), revision),
        **{name: f"{int(wanted[name]) % 2**64:016x}" for name in names},
    }


async def main() -> None:
    nodes, seconds, readers = (
        int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 1_000), (2, 30), (3, 20))
    )
    async with with_database() as address:
        async with address.connection() as connection:
            await connection.execute(MADE[0], nodes)
            await connection.execute(MADE[1], nodes, PROXIES)
            await connection.execute(CONFIRMED, PROXIES)
            await connection.execute("ANALYZE")
        near, far = Database(address.connect), Database(address.connect)
        print(f"{nodes} nodes with {PROXIES} proxies each, {readers} readers, {seconds} s:")
        await measure(near, far, nodes, seconds, readers)
        await near.close()
        await far.close()


if __name__ == "__main__":
    asyncio.run(main())
