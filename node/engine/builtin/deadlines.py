"""Coarse time-outs: one queue per duration, looked at once a second, no timer per connection."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Everything in here has the same time to live, so the order of arrival is the order of expiry."""

    __slots__ = ("_entries", "_expire", "_seconds")

    def __init__(self, seconds: float, expire: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._expire = expire
        self._entries: dict[T, float] = {}

    def add(self, item: T, now: float) -> None:
        """Starts the item's time, anew when it is already here."""
        self._entries.pop(item, None)
        self._entries[item] = now + self._seconds

    def discard(self, item: T) -> None:
        self._entries.pop(item, None)

    def expire(self, now: float) -> None:
        """Calls what is to be called for every item whose time is up."""
        for item in self._due(now):
            if self._entries.pop(item, None) is not None:
                self._expire(item)

    def _due(self, now: float) -> list[T]:
        due: list[T] = []
        for item, deadline in self._entries.items():
            if deadline > now:
                break
            due.append(item)
        return due
