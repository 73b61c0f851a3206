"""An upgrade of the built-in engine under load: what is lost, and for how long anybody waits."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.bench.engines.contenders import Ground, StartError, record, worker
from tests.bench.engines.fleet import FIRST_PORT, start_all
from tests.bench.engines.generator import Generator, Load
from tests.bench.engines.measuring import pinned

BUSY, NEW = 100, 4
"""Tunnels that exchange 20,000 bytes all the time, and clients that make a new connection for each request."""

SECONDS = 10.0
AFTER_S = 2.0


@dataclass(frozen=True)
class Handover:
    """`lost`: idle relays that ended, or did not answer afterwards. `pause_s` is what the worker tells, `waited_ms` the
    longest that an exchange took at a client, `refused` the new connections that failed."""

    proxies: int
    relays: int
    took_s: float
    pause_s: float
    connections: int
    lost: int
    broken: int
    wrong: int
    exchanges: int
    waited_ms: float
    refused: int
    new_connections: int


async def handover(proxies: int, relays: int, ground: Ground, generator: Generator) -> Handover:
    """All at the usual priority, which the new process has. Raises StartError, LoadError, EngineError."""
    ground, generator = replace(ground, nice=0), replace(generator, nice=0)
    directory = ground.place("handover").folder / "engine"
    async with worker(directory, ground) as (engine, _):
        await start_all(engine, (record(id_, FIRST_PORT + id_, ground.login) for id_ in range(1, proxies + 1)))
        aim = {"to": f"{ground.host}:{FIRST_PORT + 1}", "spread": proxies, "origin": ground.origin}
        held = generator.holding(**aim, how="connect", hold="idle", connections=relays - BUSY, again=1)
        async with held as told, asyncio.TaskGroup() as group:
            busy = group.create_task(_busy(generator, aim))
            fresh = group.create_task(generator.run(**aim, how="get", connections=NEW, seconds=SECONDS))
            await asyncio.sleep(AFTER_S)
            began = time.perf_counter()
            with pinned(ground.cores.proxy):
                moved = await engine.upgrade()
            took_s = time.perf_counter() - began
        if not moved or AFTER_S + took_s > SECONDS:
            raise StartError(f"the handover was not over while there was load: {took_s:.1f} s")
    idle, exchanges = told[0], busy.result()
    return Handover(
        proxies=proxies,
        relays=relays,
        took_s=took_s,
        pause_s=max(each.longest_pause_s for each in moved),
        connections=sum(each.connections for each in moved),
        lost=2 * (relays - BUSY) - idle.done,
        broken=exchanges.failed + exchanges.reopened,
        wrong=exchanges.wrong + idle.wrong,
        exchanges=exchanges.done,
        waited_ms=exchanges.max_us / 1000,
        refused=fresh.result().failed,
        new_connections=fresh.result().done,
    )


async def _busy(generator: Generator, aim: Mapping[str, object]) -> Load:
    return await generator.run(**aim, how="connect", connections=BUSY, reuse=1, size=20_000, verify=1, seconds=SECONDS)
