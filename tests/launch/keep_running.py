"""Supervision of a cluster: programs that end are started again."""

import asyncio
from collections.abc import Callable, Collection

from tests.cluster.cluster import Cluster
from tests.services.programs import ProgramError

CHECK_S = 0.5
FIRST_PAUSE_S, MOST_PAUSE_S = 2.0, 30.0


async def keep_running(cluster: Cluster, report: Callable[[str], None], dead: Collection[str] = ()) -> None:
    """Supervise all programs until cancelled, later ones included, but not those that are meant to be dead."""
    supervised = set(dead)
    async with asyncio.TaskGroup() as group:
        while True:
            for name in set(cluster.programs) - supervised:
                supervised.add(name)
                group.create_task(supervise(cluster, name, report))
            await asyncio.sleep(CHECK_S)


async def supervise(cluster: Cluster, name: str, report: Callable[[str], None]) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        while cluster.programs[name].is_running:
            await asyncio.sleep(CHECK_S)
        report(f"{name} has ended; starting it again in {pause_s:.0f} s")
        await asyncio.sleep(pause_s)
        try:
            await cluster.start(name)
        except ProgramError as error:
            report(f"cannot start {name}: {error}")
            pause_s = min(pause_s * 2, MOST_PAUSE_S)
        else:
            report(f"{name} runs again")
            pause_s = FIRST_PAUSE_S
