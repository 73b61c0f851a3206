"""Progress during a long wait."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY_S = 5.0


@asynccontextmanager
async def patience(doing: str, report: Callable[[str], None]) -> AsyncIterator[None]:
    """Report every few seconds that something is "still {doing}", such as "starting PostgreSQL"."""
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(_tick(doing, report))
        try:
            yield
        finally:
            ticking.cancel()


async def _tick(doing: str, report: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(EVERY_S)
        report(f"still {doing}: {time.monotonic() - began:.0f} s")
