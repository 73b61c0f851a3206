"""Time-outs without a timer per connection: one queue per duration."""

import asyncio
from collections.abc import Callable
from itertools import islice
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")

_RUNG = 16
"""Items of one ring of a prompt timer; the others follow in the event loop's next turn."""


class Timeouts(Generic[T]):
    """Everything in here has the same time to live, so the order of arrival is the order of expiry.

    Coarse: somebody has to call `expire` now and then. `entries` are for reading. A change of `seconds` holds for
    what is added later.
    """

    __slots__ = ("_expire", "entries", "seconds")

    def __init__(self, seconds: float, expire: Callable[[T], None]) -> None:
        self.seconds = seconds
        self._expire = expire
        self.entries: dict[T, float] = {}

    def add(self, item: T, now: float) -> None:
        """Starts the item's time, anew when it is already here."""
        entries = self.entries
        if item in entries:
            del entries[item]
        entries[item] = now + self.seconds

    def discard(self, item: T) -> None:
        self.entries.pop(item, None)

    def wait(self, now: float, most: float) -> float:
        """Seconds until the first item's time is up."""
        first = next(iter(self.entries.values()), now + most)
        return min(max(first - now, 0.0), most)

    def expire(self, now: float, most: int | None = None) -> bool:
        """Call what is to be called for every item whose time is up, or for the first `most` of them; whether there
        may be more."""
        due = self._due(now, most)
        for item in due:
            if self.entries.pop(item, None) is not None:
                self._expire(item)
        return len(due) == most

    def _due(self, now: float, most: int | None) -> list[T]:
        due: list[T] = []
        for item, deadline in islice(self.entries.items(), most):
            if deadline > now:
                break
            due.append(item)
        return due


class PromptTimeouts(Timeouts[T]):
    """The same to the millisecond: one timer for all items, set only while there are any."""

    __slots__ = ("_loop", "_timer")

    def __init__(self, seconds: float, expire: Callable[[T], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(seconds, expire)
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: T, now: float) -> None:
        super().add(item, now)
        self._wind(now)

    def close(self) -> None:
        """No item is told any more."""
        self.entries.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _wind(self, now: float) -> None:
        if self._timer is None and self.entries:
            first = next(iter(self.entries.values()))
            self._timer = self._loop.call_later(max(first - now, 0.0), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = monotonic()
        self.expire(now, _RUNG)
        self._wind(now)
