"""What a token costs a request: reading one proxy from an open API, and with a token from one that needs tokens.

    ./dev python -m tests.bench.api_tokens [ROUNDS] [REQUESTS]

Both are real servers in processes of their own, each with its database, and are asked in turns over kept connections.
Shown are the medians and ranges over the rounds of the CPU time of a master's process per request.
"""

import asyncio
import multiprocessing
import statistics
import sys
from contextlib import AsyncExitStack
from typing import Any

import httpx

from tests.bench.api_read import FILL, asked, cost_us, ours, serve
from tests.bench.grounds import with_database


async def server(stack: AsyncExitStack, *, needs_token: bool) -> tuple[httpx.AsyncClient, int]:
    """Start a master; return a client of it and its process id."""
    database = await stack.enter_async_context(with_database())
    async with database.connection() as rows:
        for statement in FILL:
            await rows.execute(statement)
    told: Any = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(ours, database, told), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.kill)
    url = await asyncio.to_thread(told.get, True, 60)
    http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30, trust_env=False))
    if needs_token:
        made = await http.post("/tokens", json={"name": "admin", "scopes": ["admin"]})
        http.headers["Authorization"] = f"Bearer {made.json()['token']}"
    assert process.pid
    await asked(http, 500)
    return http, process.pid


async def main() -> None:
    rounds, count = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 7), (2, 2_000)))
    async with AsyncExitStack() as stack:
        servers = {
            "open": await server(stack, needs_token=False),
            "with a token": await server(stack, needs_token=True),
        }
        figures: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, (http, pid) in servers.items():
                figures[name].append(await cost_us(http, pid, count))
    for name, values in figures.items():
        print(f"{name}: {statistics.median(values):.0f} us ({min(values):.0f}-{max(values):.0f})")


if __name__ == "__main__":
    asyncio.run(main())
