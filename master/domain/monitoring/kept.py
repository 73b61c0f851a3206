"""A value that costs much to make, made at most every few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The latest value, made when it is asked for. A caller that asks while it is being made waits for that one."""

    def __init__(self, make: Callable[[], Awaitable[T]], kept_s: float) -> None:
        """Make it again when it is older than `kept_s`."""
        self._make, self._kept_s = make, kept_s
        self._making = asyncio.Lock()
        self._latest: tuple[float, T] | None = None

    async def get(self) -> T:
        """Return the value. Raises what `make` raises."""
        async with self._making:
            if self._latest is None or time.monotonic() - self._latest[0] >= self._kept_s:
                value = await self._make()
                self._latest = time.monotonic(), value
            return self._latest[1]
