"""Threads for calls that block for as long as they like."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

_IDLE_S = 30.0


class Threads:
    """As many as there are calls at once, which the owner bounds; one that has nothing to do for a while ends.

    They end with the process (daemons): a call that hangs keeps nobody from leaving.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)

    def give(self, call: Callable[[], None]) -> bool:
        """False: the host has no room for another thread, and nothing is called."""
        if not self._idle.acquire(blocking=False):
            try:
                threading.Thread(target=self._work, args=(call,), name=self._name, daemon=True).start()
            except RuntimeError:
                return False
            return True
        self._calls.put(call)
        return True

    def close(self) -> None:
        """Those that are idle end now, the others after their call."""
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
                # Somebody counts on this thread: the call is on its way.
                continue
            if call is None:
                self._calls.put(None)
            return call
