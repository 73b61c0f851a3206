"""Threads for calls that may block for a long time."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

_IDLE_S = 30.0


class Threads:
    """Starts as many threads as there are calls at once, which the owner limits; an idle thread ends after a while.

    They are daemon threads: a call that hangs does not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)

    def run(self, call: Callable[[], None]) -> bool:
        """Run a call; False if the host allows no further thread, and nothing is called."""
        if not self._idle.acquire(blocking=False):
            try:
                threading.Thread(target=self._work, args=(call,), name=self._name, daemon=True).start()
            except RuntimeError:
                return False
            return True
        self._calls.put(call)
        return True

    def close(self) -> None:
        """End idle threads now, the others after their call."""
        self._calls.put(None)

    def _work(self, call: Callable[[], None] | None) -> None:
        while call is not None:
            call()
            call = None
            call = self._next_call()

    def _next_call(self) -> Callable[[], None] | None:
        self._idle.release()
        while True:
            try:
                call = self._calls.get(timeout=_IDLE_S)
            except Empty:
                if self._idle.acquire(blocking=False):
                    return None
                # A call has been assigned to this thread and is about to arrive.
                continue
            if call is None:
                self._calls.put(None)
            return call
