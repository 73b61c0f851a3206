"""An asyncio event loop that waits where the data path waits, so that moving bytes costs it no turn."""

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any, Protocol

_FOREVER_S = 60.0


class DataPath(Protocol):
    def wake_on(self, fd: int) -> None:
        """`serve` tells from now on when this descriptor is ready."""
        ...

    def serve(self, timeout: float) -> bool:
        """Waits for at most so many seconds and serves what is ready; True when the loop is wanted."""
        ...


class _Selector(selectors.EpollSelector):
    """Comes back only for descriptors of control, for what was scheduled meanwhile, and when the time is up."""

    def __init__(self) -> None:
        super().__init__()
        self.data_path: DataPath | None = None
        self.wanted = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        data_path = self.data_path
        if data_path is None:
            return super().select(timeout)
        self.wanted = False
        left = _FOREVER_S if timeout is None else max(timeout, 0.0)
        until = monotonic() + left
        while not data_path.serve(left) and not self.wanted:
            left = until - monotonic()
            if left <= 0:
                break
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """Drives one data path, once it is attached."""

    def __init__(self) -> None:
        self._waiting = _Selector()
        super().__init__(self._waiting)

    def attach(self, data_path: DataPath) -> None:
        data_path.wake_on(self._waiting.fileno())
        self._waiting.data_path = data_path

    def detach(self) -> None:
        self._waiting.data_path = None

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        self._waiting.wanted = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._waiting.wanted = True
        return super().call_at(when, callback, *args, context=context)
