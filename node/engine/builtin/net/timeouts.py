"""Time-outs without a timer per connection: one queue for each duration."""

import asyncio
from collections.abc import Callable
from itertools import islice
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")

HANDSHAKE_S = 30.0
"""For a client to complete its first request."""
TLS_HANDSHAKE_S = 10.0
"""For a client to complete the handshake of TLS, before its first request."""
CONNECT_S = 12.0
"""For a destination to be reached, over all addresses of its name."""
ATTEMPT_S = 0.25
"""The head start of an address before the next one is tried in parallel (RFC 8305 §8)."""
IDLE_S = 300.0
"""For an HTTP client between two requests; browsers give up after about as long."""
LINGER_S = 3.0
"""For a client to read the last response before its connection is closed."""
ABANDONED_S = 0.5
"""For a destination to be reached after the client has half-closed its connection without sending data."""
HALF_TUNNEL_S = 120.0
"""For the destination of a tunnel to answer after the client has half-closed its connection."""
SETTLED_S = 0.005
"""After this long, at most twice as long, a connection to a destination counts as lasting: see
`Connection.keep_alive`."""

_FIRED_AT_ONCE = 16
"""Items handled by one call of a prompt timer; more follow in the next iteration of the event loop."""


class Timeouts(Generic[T]):
    """Items that expire after the same time, so that the order of arrival is the order of expiry.

    Expiry is coarse: the owner calls `expire` now and then. Read `entries`, but do not change it. Changing `seconds`
    affects items that are added later.
    """

    __slots__ = ("_expire", "entries", "seconds")

    def __init__(self, seconds: float, expire: Callable[[T], None]) -> None:
        self.seconds = seconds
        self._expire = expire
        self.entries: dict[T, float] = {}

    def add(self, item: T, now: float) -> None:
        """Start the item's time, or restart it."""
        entries = self.entries
        if item in entries:
            del entries[item]
        entries[item] = now + self.seconds

    def discard(self, item: T) -> None:
        self.entries.pop(item, None)

    def wait(self, now: float, most: float) -> float:
        """Seconds until the first item expires, at most `most`."""
        first = next(iter(self.entries.values()), now + most)
        return min(max(first - now, 0.0), most)

    def expire(self, now: float, most: int | None = None) -> bool:
        """Expire all items that are due, or the first `most` of them. True if more may be due."""
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
    """As `Timeouts`, exact to the millisecond: one timer for all items, set only while there are any."""

    __slots__ = ("_loop", "_timer")

    def __init__(self, seconds: float, expire: Callable[[T], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(seconds, expire)
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: T, now: float) -> None:
        super().add(item, now)
        self._start_timer(now)

    def close(self) -> None:
        """Expire nothing any more."""
        self.entries.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _start_timer(self, now: float) -> None:
        if self._timer is None and self.entries:
            first = next(iter(self.entries.values()))
            self._timer = self._loop.call_later(max(first - now, 0.0), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = monotonic()
        self.expire(now, _FIRED_AT_ONCE)
        self._start_timer(now)
