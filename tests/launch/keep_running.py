"""Keeps the programs of a cluster running: what has ended is started again, as a supervisor would."""

import asyncio
from collections.abc import Callable

from tests.cluster.cluster import Cluster
from tests.services.programs import ProgramError

LOOK_S = 0.5
FIRST_PAUSE_S, MOST_PAUSE_S = 2.0, 30.0


async def keep_running(cluster: Cluster, report: Callable[[str], None]) -> None:
    """Until cancelled, also what comes later."""
    tended: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            for name in set(cluster.programs) - tended:
                tended.add(name)
                group.create_task(tend(cluster, name, report))
            await asyncio.sleep(LOOK_S)


async def tend(cluster: Cluster, name: str, report: Callable[[str], None]) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        while cluster.programs[name].is_running:
            await asyncio.sleep(LOOK_S)
        report(f"{name} has ended; it is started again in {pause_s:.0f} s")
        await asyncio.sleep(pause_s)
        try:
            await cluster.start(name)
        except ProgramError as error:
            report(f"{name} could not be started: {error}")
            pause_s = min(pause_s * 2, MOST_PAUSE_S)
        else:
            report(f"{name} is back")
            pause_s = FIRST_PAUSE_S
