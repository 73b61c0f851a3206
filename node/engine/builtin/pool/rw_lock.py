"""Keeps orders to the workers and handovers between them apart."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType


class ReadersWriterLock:
    """Entered by any number of orders at once, or by one handover; an order that comes meanwhile waits for its end."""

    def __init__(self) -> None:
        self._orders = 0
        self._free = asyncio.Event()
        self._empty = asyncio.Event()
        self._turn = asyncio.Lock()
        self._free.set()
        self._empty.set()

    async def __aenter__(self) -> None:
        """For an order; there are thousands, which is why they are told apart by nothing."""
        while not self._free.is_set():
            await self._free.wait()
        self._orders += 1
        self._empty.clear()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._orders -= 1
        if not self._orders:
            self._empty.set()

    @asynccontextmanager
    async def handover(self) -> AsyncGenerator[None]:
        async with self._turn:
            self._free.clear()
            try:
                await self._empty.wait()
                yield
            finally:
                self._free.set()
