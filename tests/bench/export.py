"""50,000 proxies exported by a real master over a socket: time, and by how much its memory grows.

    ./dev python -m tests.bench.export [lines]

One process is the master, another the reader, so that only the master's memory is looked at; each format is read
three times, and the medians are told.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import httpx

from tests.bench.grounds import with_database, with_master

NODES = 5
FORMATS = ("plain", "url", "csv", "json")
NODE = "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) SELECT n, '10.0.0.' || n, n, 'x'"
FILL = (
    "INSERT INTO proxies (node_id, port, protocol, username, password, labels)"
    " SELECT 1 + n % $2, 10000 + n / $2, 'mixed', 'user' || n, 'password-' || n, '{\"tier\": \"gold\"}'"
    " FROM generate_series(1, $1::int) AS n"
)


def rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def measured(url: str, pid: int, lines: int) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        await http.get("/proxies?limit=1000")
        before = rss_kib(pid)
        for format_ in FORMATS:
            took = [await read(http, format_, pid) for _ in range(3)]
            seconds, size, peak = (statistics.median(column) for column in zip(*took, strict=True))
            grown = (peak - before) / 1024
            print(f"{format_:6} {lines} lines: {seconds:.2f} s, {size / 1e6:.1f} MB; memory +{grown:.1f} MiB")


async def read(http: httpx.AsyncClient, format_: str, pid: int) -> tuple[float, int, int]:
    began, size, peak = time.perf_counter(), 0, 0
    async with http.stream("GET", "/proxies/export", params={"format": format_}) as answer:
        async for chunk in answer.aiter_raw():
            size, peak = size + len(chunk), max(peak, rss_kib(pid))
    return time.perf_counter() - began, size, peak


async def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    async with with_database() as database:
        async with database.connection() as rows:
            await rows.execute(f"{NODE} FROM generate_series(1, {NODES}) AS n")
            await rows.execute(FILL, lines, NODES)
            await rows.execute("ANALYZE")
        async with with_master(database) as (url, pid):
            await measured(url, pid, lines)


if __name__ == "__main__":
    asyncio.run(main())
