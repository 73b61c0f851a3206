"""One attack and what it did."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace

from tests.bench.neighbours.attacks import ACTS, PER_PROCESS, Aim, floods
from tests.bench.neighbours.figures import BACK_S, Figures, Sample, back_after, percentile, within
from tests.bench.neighbours.grounds import Ground, Proxy

_ANY = Aim("", 0, 0, "", "", "", 0, 0)
KINDS = (*floods(_ANY), *ACTS)
SOURCES, EACH = ("127.0.0.10", "127.0.0.11"), PER_PROCESS
STORM = 50
"""Connections at once of the attack that connects and resets."""
BEFORE_S = 2.0
WARM_S = 0.5
REMOVAL_S = 3.0
"""Of a second attack, amid which A is removed."""
ASK_S = 0.2
NICE = -5


@asynccontextmanager
async def running(module: str, *arguments: str, nice: int = 0) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A module of this package as a process; its standard input is closed in the end, which ends it."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.bench.neighbours.{module}", *arguments, stdin=pipe, stdout=pipe
    )
    try:
        # Without the right to it the customer has the share that all have.
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, process.pid, nice)
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


def aims(a: Proxy, origin: int, kind: str, connections: int, seconds: float) -> Sequence[Aim]:
    """One for each process of the attack."""
    aim = Aim(a.host, a.port, origin, a.username, a.password, kind, connections, seconds)
    if kind == "half-open":
        return [replace(aim, source=source, connections=EACH) for source in SOURCES]
    return [replace(aim, connections=STORM)] if kind == "connects and resets" else [aim]


async def abused(ground: Ground, kind: str, connections: int, seconds: float) -> Figures:
    """B's figures while A is attacked and after, and how long it takes to remove A amid a second attack."""
    a, stuck_before = await ground.make_a(), ground.stuck()
    samples: list[Sample] = []
    told = {"host": ground.b.host, "port": ground.b.port, "username": ground.b.username, "password": ground.b.password}
    async with (
        running("origins") as origin,
        running("probe", json.dumps(told), nice=NICE) as probe,
        asyncio.TaskGroup() as tasks,
    ):
        collecting = tasks.create_task(collected(probe, samples))
        port = int((await lines_of(origin)).strip())
        await asyncio.sleep(BEFORE_S)
        begin = time.monotonic()
        attack = tasks.create_task(attacked(aims(a, port, kind, connections, seconds)))
        await asyncio.sleep(WARM_S)
        control_ms = await waits(ground, begin + seconds)
        until = time.monotonic()
        did = await attack
        end = time.monotonic()
        await asyncio.sleep(2 * BACK_S)
        removed_ms = await removed(ground, aims(a, port, kind, connections, REMOVAL_S))
        collecting.cancel()
    usual = within(samples, 0, begin)
    during = within(samples, begin + WARM_S, until)
    return Figures(
        attack=kind,
        count=len(during),
        p50_ms=percentile(during, 0.5),
        p99_ms=percentile(during, 0.99),
        worst_ms=during[-1] if during else float("inf"),
        back_s=back_after(samples, end, max(2 * percentile(usual, 0.95), 5.0)),
        control_ms=control_ms,
        removed_ms=removed_ms,
        stuck=ground.stuck() - stuck_before,
        did=did,
    )


async def removed(ground: Ground, each: Sequence[Aim]) -> float:
    """Milliseconds that it takes to remove A while it is attacked."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(attacked(each))
        await asyncio.sleep(REMOVAL_S / 2)
        began = time.monotonic()
        await ground.remove_a()
        return (time.monotonic() - began) * 1000


async def lines_of(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()


async def collected(probe: asyncio.subprocess.Process, samples: list[Sample]) -> None:
    while line := await lines_of(probe):
        at, took = line.split()
        samples.append((float(at), float(took)))


async def attacked(each: Sequence[Aim]) -> str:
    """What the attackers say that they did."""
    async with asyncio.TaskGroup() as tasks:
        said = [tasks.create_task(_attacked(aim)) for aim in each]
    return "; ".join(task.result() for task in said)


async def _attacked(aim: Aim) -> str:
    async with running("attacks", json.dumps(asdict(aim))) as process:
        return (await lines_of(process)).decode().strip() or "the attacker failed"


async def waits(ground: Ground, until: float) -> float:
    """The longest that a question of the agent took, in milliseconds."""
    longest = 0.0
    while time.monotonic() < until:
        began = time.monotonic()
        await ground.ask()
        longest = max(longest, (time.monotonic() - began) * 1000)
        await asyncio.sleep(ASK_S)
    return longest
