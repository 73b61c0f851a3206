"""An asyncio event loop that waits in the data path's epoll, so that relaying bytes takes no iteration of asyncio."""

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any, Protocol

_FOREVER_S = 60.0


class DataPath(Protocol):
    """The reactor, as far as the event loop uses it."""

    def wake_on(self, fd: int) -> None:
        """Have `serve` return True when this descriptor is ready."""
        ...

    def serve(self, timeout: float) -> bool:
        """Wait for events for at most `timeout` seconds and serve them. True if asyncio has something to do."""
        ...


class _Selector(selectors.EpollSelector):
    """Returns only for asyncio's own descriptors, for callbacks scheduled meanwhile, and when the time is up."""

    def __init__(self) -> None:
        super().__init__()
        self.data_path: DataPath | None = None
        self.interrupted = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        data_path = self.data_path
        if data_path is None:
            return super().select(timeout)
        self.interrupted = False
        left = _FOREVER_S if timeout is None else max(timeout, 0.0)
        until = monotonic() + left
        while not data_path.serve(left) and not self.interrupted:
            left = until - monotonic()
            if left <= 0:
                break
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop that drives a data path once it is attached."""

    def __init__(self) -> None:
        self._data_selector = _Selector()
        super().__init__(self._data_selector)

    def attach(self, data_path: DataPath) -> None:
        data_path.wake_on(self._data_selector.fileno())
        self._data_selector.data_path = data_path

    def detach(self) -> None:
        self._data_selector.data_path = None

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        self._data_selector.interrupted = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._data_selector.interrupted = True
        return super().call_at(when, callback, *args, context=context)
