"""How long writes of many proxies take over HTTP, and how long other reads take meanwhile.

    ./dev python -m tests.bench.bulk_writes [ROUNDS] [--only WORD] [--beside TREE]

Each round has a fresh database: 10,000 proxies labelled `size:10000`, 1,000 labelled `size:1000` and 9,000 others, over
12 nodes. Each write runs alone beside one client that reads GET /proxies?limit=50, GET /proxies/{id} and /health/ready
in turns over a kept connection, until a second after the write. With `--beside`, the master of another working tree
takes turns with this one. Printed are the median and the range of each write, and p50, p99 and the longest of the reads
beside it, over all rounds.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from master.db.migrations import migrate
from tests.master.api_servers import master
from tests.services.postgres import Database, PostgreSQL

HERE = Path(__file__).parents[2]
NODES = 12
SIZES = {"1000": 1_000, "10000": 10_000}
LIMIT_S = 120
AFTERMATH_S = 1.0
"""Reads go on for so long after a write: its events are delivered then."""
FILL = (
    "INSERT INTO locations (name) VALUES ('bench')",
    "INSERT INTO nodes (name, ip, location_id, engines, challenge_hash, broker_password_hash)"
    """ SELECT 'n' || n, '10.0.0.' || n, 1, '{"builtin": "1"}', 'c' || n, 'h'"""
    f" FROM generate_series(1, {NODES}) AS n",
    "UPDATE node_status SET online = true, session = 1, confirmed_rev = 1000000",
    "INSERT INTO proxies (node_id, port, protocol, username, password, labels)"
    f" SELECT 1 + n % {NODES}, 20000 + n / {NODES}, 'mixed', 'user' || n, 'password-' || n,"
    " jsonb_build_object('customer', (n % 400)::text, 'size',"
    " CASE WHEN n < 10000 THEN '10000' WHEN n < 11000 THEN '1000' ELSE 'other' END)"
    " FROM generate_series(0, 19999) AS n",
    "ANALYZE",
)
READS = ("/proxies?limit=50", "/proxies/19000", "/health/ready")

Write = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


def patch(body: Callable[[str], dict[str, Any]], **query: str) -> Write:
    async def act(http: httpx.AsyncClient, size: str) -> httpx.Response:
        where = {"label": f"size:{size}", "expect": str(SIZES[size]), **query}
        return await http.patch("/proxies", params=where, json=body(size))

    return act


async def rotate(http: httpx.AsyncClient, size: str) -> httpx.Response:
    where = {"label": f"size:{size}", "expect": str(SIZES[size])}
    return await http.post("/proxies/rotate", params=where, json={"what": ["credentials"]})


async def delete(http: httpx.AsyncClient, size: str) -> httpx.Response:
    return await http.delete("/proxies", params={"label": f"size:{size}", "expect": str(SIZES[size])})


def put(share: float, **proxy: Any) -> Write:
    async def act(http: httpx.AsyncClient, size: str) -> httpx.Response:
        body = {"count": int(SIZES[size] * share), "proxy": {"location_id": 1, **proxy}}
        return await http.put(f"/stacks/by-name/s{size}", json=body)

    return act


async def remove_stack(http: httpx.AsyncClient, size: str) -> httpx.Response:
    return await http.delete(f"/stacks/by-name/s{size}")


WRITES: dict[str, Write] = {
    "patch labels": patch(lambda _: {"labels": {"paused": "yes"}}),
    "patch labels, dry run": patch(lambda _: {"labels": {"paused": "no"}}, dry_run="true"),
    "patch limits": patch(lambda _: {"limits": {"connections": 77}}),
    "patch enabled": patch(lambda _: {"enabled": False}),
    "patch enabled again": patch(lambda _: {"enabled": True}),
    "patch allow_ips": patch(lambda _: {"allow_ips": ["10.0.0.0/8"]}),
    "patch credentials": patch(lambda size: {"username": f"u{size}", "password": "secret-of-all"}),
    "patch nothing": patch(lambda _: {"enabled": True}),
    "rotate": rotate,
    "delete": delete,
    "stack create": put(0.9),
    "stack scale up": put(1),
    "stack template": put(1, limits={"connections": 50}),
    "stack scale down": put(0.1, limits={"connections": 50}),
    "stack scale to full": put(1, limits={"connections": 50}),
    "stack remove": remove_stack,
}


@dataclass
class Figures:
    """Seconds of a write, and of the reads beside it."""

    writes: list[float] = field(default_factory=list[float])
    reads: list[float] = field(default_factory=list[float])
    refused: list[str] = field(default_factory=list[str])


Results = defaultdict[tuple[str, str], Figures]


async def serve(database: Database) -> None:
    async with master(database) as one:
        print(one.http.base_url, flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


async def fill(database: Database) -> None:
    async with database.connection() as rows:
        await migrate(rows)
        for statement in FILL:
            await rows.execute(statement)


@asynccontextmanager
async def program(tree: Path, verb: str, database: Database) -> AsyncGenerator[asyncio.subprocess.Process]:
    """This file as a program that imports the master of a working tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "BENCH_PASSWORD": database.password}
    where = (database.host, str(database.port), database.user, database.name)
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, verb, *where, cwd=tree, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def read(http: httpx.AsyncClient, found: list[float]) -> None:
    while True:
        for path in READS:
            began = time.perf_counter()
            await http.get(path)
            found.append(time.perf_counter() - began)
            await asyncio.sleep(0.002)


async def measured(url: str, name: str, size: str, figures: Figures) -> None:
    async with (
        httpx.AsyncClient(base_url=url, timeout=LIMIT_S, trust_env=False) as writer,
        httpx.AsyncClient(base_url=url, timeout=LIMIT_S, trust_env=False) as reader,
        asyncio.TaskGroup() as group,
    ):
        await reader.get(READS[0])
        await writer.get(READS[0])
        task = group.create_task(read(reader, figures.reads))
        began = time.perf_counter()
        answer = await WRITES[name](writer, size)
        figures.writes.append(time.perf_counter() - began)
        await asyncio.sleep(AFTERMATH_S)
        task.cancel()
        figures.refused += [] if answer.is_success else [answer.text]


async def round_of(postgres: PostgreSQL, tree: Path, template: str, word: str, results: Results) -> None:
    database = await postgres.create(f"round_{time.monotonic_ns()}", template=template)
    async with program(tree, "serve", database) as process:
        assert process.stdout
        url = (await process.stdout.readline()).decode().strip()
        for name in WRITES:
            if word in name or (name.startswith("stack") and "stack" in word):
                for size in SIZES:
                    await measured(url, name, size, results[name, f"{size} {tree.name}"])
    await postgres.drop(database.name)


async def compared(rounds: int, word: str, trees: list[Path]) -> Results:
    from tests.bench.grounds import with_postgres  # not above: the programs of another tree import this file, too

    results: Results = defaultdict(Figures)
    async with with_postgres() as postgres:
        for number, tree in enumerate(trees):
            async with program(tree, "fill", await postgres.create(f"filled_{number}")) as process:
                assert await process.wait() == 0
        for _ in range(rounds):
            for number, tree in enumerate(trees):
                await round_of(postgres, tree, f"filled_{number}", word, results)
    return results


def lines(results: Results) -> Iterator[str]:
    yield f"{'write':24}{'proxies, tree':>16}  {'median':>8} {'range':>17}   reads: {'p50':>6} {'p99':>7} {'max':>7} ms"
    for (name, size), figures in results.items():
        low, high = min(figures.writes), max(figures.writes)
        reads = sorted(one * 1e3 for one in figures.reads) or [0.0]
        p99 = reads[int(len(reads) * 0.99)]
        yield (
            f"{name:24}{size:>16}  {statistics.median(figures.writes):7.3f}s {low:7.3f} - {high:.3f}s"
            f"          {statistics.median(reads):6.1f} {p99:7.1f} {reads[-1]:7.1f}"
        )
        yield from (f"  refused: {text[:200]}" for text in figures.refused)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--beside", type=Path)
    given = parser.parse_args()
    trees = [*([given.beside.resolve()] if given.beside else []), HERE]
    print("\n".join(lines(asyncio.run(compared(given.rounds, given.only, trees)))))


def as_program(verb: str, host: str, port: str, user: str, name: str) -> None:
    database = Database(host, int(port), user, os.environ["BENCH_PASSWORD"], name)
    asyncio.run(serve(database) if verb == "serve" else fill(database))


if __name__ == "__main__":
    if sys.argv[1:2] in (["serve"], ["fill"]):
        as_program(*sys.argv[1:])
    else:
        main()
