"""What reading one proxy costs the master, beside a bare Litestar handler with one asyncpg query.

    ./dev python -m tests.bench.api_read [ROUNDS] [REQUESTS]

Both are real servers in processes of their own, on the same database and with the same uvicorn; they are asked in
turns over kept connections. Told are the medians over the rounds of a process's CPU time per request, and their ratio.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import uvicorn
from litestar import Litestar, get
from litestar.params import FromPath

from shared.http_server import Server, bound_socket
from tests.bench.grounds import with_database
from tests.master.api_servers import master
from tests.services.postgres import Database

CONNECTIONS = 8
PROXIES = 1_000
FILL = (
    "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ('n', '10.0.0.1', 'c', 'h')",
    "INSERT INTO proxies (node_id, port, protocol, username, password)"
    f" SELECT 1, 20000 + n, 'mixed', 'user' || n, 'password-' || n FROM generate_series(1, {PROXIES}) AS n",
    "ANALYZE",
)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def serve(kind: Callable[[Database, Any], Awaitable[None]], database: Database, told: Any) -> None:
    asyncio.run(kind(database, told))  # type: ignore[arg-type]


async def ours(database: Database, told: Any) -> None:
    async with master(database) as one:
        told.put(str(one.http.base_url))
        await asyncio.Event().wait()


async def bare(database: Database, told: Any) -> None:
    pool = await asyncpg.create_pool(**database.connect)

    @get("/proxies/{id_:int}")
    async def show(id_: FromPath[int]) -> dict[str, Any]:
        async with pool.acquire() as connection:
            row = await connection.fetchrow(
                "SELECT id, name, node_id, port, protocol, username, password, allow_ips, engine, enabled, labels,"
                " version, created_at, updated_at FROM proxies WHERE id = $1",
                id_,
            )
        return {**row, "labels": json.loads(row["labels"])}

    listener = bound_socket("127.0.0.1", 0)
    listener.listen(128)
    told.put(f"http://127.0.0.1:{listener.getsockname()[1]}")
    config = uvicorn.Config(Litestar([show], openapi_config=None), log_config=None, access_log=False)
    await Server(config).serve(sockets=[listener])


def cpu_s(pid: int) -> float:
    """User and system time of a process (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def asked(http: httpx.AsyncClient, count: int) -> None:
    for number in range(count):
        answer = await http.get(f"/proxies/{number % PROXIES + 1}")
        assert answer.status_code == 200, answer.text


async def cost_us(http: httpx.AsyncClient, pid: int, count: int) -> float:
    before = cpu_s(pid)
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(asked(http, count // CONNECTIONS))
    return (cpu_s(pid) - before) / count * 1e6


async def compared(database: Database, rounds: int, count: int) -> None:
    context = multiprocessing.get_context("spawn")
    async with AsyncExitStack() as stack:
        servers: dict[str, tuple[httpx.AsyncClient, int]] = {}
        for name, kind in (("master", ours), ("bare", bare)):
            told: Any = context.Queue()
            process = context.Process(target=serve, args=(kind, database, told), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
            url = await asyncio.to_thread(told.get, True, 60)
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30, trust_env=False))
            assert process.pid
            servers[name] = http, process.pid
            await asked(http, 500)
        figures: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, (http, pid) in servers.items():
                figures[name].append(await cost_us(http, pid, count))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print(", ".join(f"{name} {value:.0f} us" for name, value in medians.items()))
    ratios = [ours_ / bare_ for ours_, bare_ in zip(figures["master"], figures["bare"], strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} (of the medians {medians['master'] / medians['bare']:.2f})")


async def main() -> None:
    rounds, count = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 5), (2, 2_000)))
    async with with_database() as database:
        async with database.connection() as rows:
            for statement in FILL:
                await rows.execute(statement)
        await compared(database, rounds, count)


if __name__ == "__main__":
    asyncio.run(main())
