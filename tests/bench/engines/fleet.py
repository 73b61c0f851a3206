"""Many proxies in one worker of the built-in engine: how soon all accept, also after a crash; what one more costs."""

import asyncio
import os
import signal
import socket
import statistics
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from node.commands.run import tune_garbage_collector
from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from shared.tasks import for_each
from tests.bench.engines.contenders import Ground, StartError, record, worker
from tests.bench.engines.measuring import pss_bytes
from tests.services.processes import parents

FIRST_PORT = 10_000
ADDED = 50
LOOK_S = 0.001
LIMIT_S = 10.0


@dataclass(frozen=True)
class Fleet:
    """`worker_s` is until the worker answers, most of it Python's own start; `accepting_s` counts from there.
    `pss_bytes` is of the worker and the process that it was forked off.

    `adding_ms` are the median and the worst. `back_s` is until the proxy that comes back last serves a client after
    `kill -9` of the worker.
    """

    proxies: int
    worker_s: float
    accepting_s: float
    pss_bytes: int
    adding_ms: float
    adding_worst_ms: float
    back_s: float


async def fleet(proxies: int, ground: Ground) -> Fleet:
    """Raises StartError, EngineError."""
    directory = ground.place("fleet").folder / "engine"
    records = [record(id_, FIRST_PORT + id_, ground.login) for id_ in range(1, proxies + 1)]
    tune_garbage_collector()
    began = time.perf_counter()
    async with worker(directory, ground) as (engine, pid):
        answering = time.perf_counter()
        await start_all(engine, records)
        accepting_s = time.perf_counter() - answering
        if len(await engine.running()) != proxies:
            raise StartError(f"only {len(await engine.running())} of {proxies} proxies run")
        _accept(ground.host, proxies)
        used = pss_bytes([parents()[pid]])
        added = [await _added(engine, ground, proxies + 1 + extra) for extra in range(ADDED)]
        os.kill(pid, signal.SIGKILL)
        back_s = await asyncio.to_thread(_served_again, ground.host, FIRST_PORT + proxies + ADDED)
    return Fleet(proxies, answering - began, accepting_s, used, statistics.median(added), max(added), back_s)


async def start_all(engine: BuiltinEngine, records: Iterable[ProxyRecord]) -> None:
    """As the agent does (node/reconcile/reconciler.py). Raises EngineError, alone or in groups."""
    await for_each(records, engine.start, at_once=engine.at_once)


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


def _served_again(host: str, port: int) -> float:
    """Seconds from now until a client has an answer. Raises StartError."""
    began = time.perf_counter()
    while time.perf_counter() - began < LIMIT_S:
        with suppress(OSError), socket.create_connection((host, port), timeout=LIMIT_S) as client:
            client.sendall(b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n")
            if client.recv(16):
                return time.perf_counter() - began
        time.sleep(LOOK_S)
    raise StartError("a worker that was killed did not come back")
