"""Many proxies in one worker of the built-in engine: how soon all of them accept, and what one more costs."""

import asyncio
import socket
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from node.engine.builtin import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.bench.engines.contenders import Ground, StartError, record, worker
from tests.bench.engines.measuring import pss_bytes

AT_ONCE = 16
"""Orders under way, as the agent gives them (node/supervisor.py)."""

FIRST_PORT = 10_000
ADDED = 50


@dataclass(frozen=True)
class Fleet:
    """`accepting_s` counts from before the worker's process is started; `adding_ms` are the median and the worst."""

    proxies: int
    accepting_s: float
    pss_bytes: int
    adding_ms: float
    adding_worst_ms: float


async def fleet(proxies: int, ground: Ground) -> Fleet:
    """Raises StartError, EngineError."""
    directory = ground.place("fleet").folder / "engine"
    records = (record(id_, FIRST_PORT + id_, ground.login) for id_ in range(1, proxies + 1))
    began = time.perf_counter()
    async with worker(directory, ground) as (engine, pid):
        await start_all(engine, records)
        accepting_s = time.perf_counter() - began
        if len(await engine.running()) != proxies:
            raise StartError(f"only {len(await engine.running())} of {proxies} proxies run")
        _accept(ground.host, proxies)
        used = pss_bytes([pid])
        added = [await _added(engine, ground, proxies + 1 + extra) for extra in range(ADDED)]
    return Fleet(proxies, accepting_s, used, statistics.median(added), max(added))


async def start_all(engine: BuiltinEngine, records: Iterator[ProxyRecord]) -> None:
    """Raises EngineError."""
    async with asyncio.TaskGroup() as starting:
        for _ in range(AT_ONCE):
            starting.create_task(_start_each(engine, records))


async def _start_each(engine: BuiltinEngine, records: Iterator[ProxyRecord]) -> None:
    for each in records:
        await engine.start(each)


async def _added(engine: BuiltinEngine, ground: Ground, id_: int) -> float:
    """Milliseconds from the order to the answer."""
    new = record(id_, FIRST_PORT + id_, ground.login)
    began = time.perf_counter()
    await engine.start(new)
    return (time.perf_counter() - began) * 1000


def _accept(host: str, proxies: int) -> None:
    """Raises OSError when one of them does not."""
    for id_ in range(1, proxies + 1):
        socket.create_connection((host, FIRST_PORT + id_), timeout=5).close()
