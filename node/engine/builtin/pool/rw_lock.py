"""Keeps commands to the workers and handovers between them apart."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType


class ReadersWriterLock:
    """Held by any number of commands at once, or by one handover; commands wait for its end."""

    def __init__(self) -> None:
        self._readers = 0
        self._free = asyncio.Event()
        self._empty = asyncio.Event()
        self._lock = asyncio.Lock()
        self._free.set()
        self._empty.set()

    async def __aenter__(self) -> None:
        """Enter for a command; there are thousands, so they share one counter."""
        while not self._free.is_set():
            await self._free.wait()
        self._readers += 1
        self._empty.clear()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._readers -= 1
        if not self._readers:
            self._empty.set()

    @asynccontextmanager
    async def handover(self) -> AsyncGenerator[None]:
        """Enter for a handover, once all commands have left."""
        async with self._lock:
            self._free.clear()
            try:
                await self._empty.wait()
                yield
            finally:
                self._free.set()
