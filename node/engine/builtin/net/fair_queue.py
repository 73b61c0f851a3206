"""Shares a worker's time among its proxies by queueing deferred work.

New events of a proxy without deferred work are served first. Then one proxy with deferred work gets a slice of time;
the others follow in rotation. Within a proxy, connections queue up: each does a bounded piece of work and goes to the
end. A proxy with little work therefore waits for one slice at most, whatever the others do.
"""

from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

SLICE_S = 0.0005
"""Time of one proxy before the reactor checks for new events; a piece of work that has begun is finished."""

S = TypeVar("S")
Task = Callable[[], None]


class FairQueue(Generic[S]):
    """Deferred work in `queues`, by owner: the proxy, or any object that stands for it.

    A stage has at most one piece of work, and a descriptor one entry of events. `serve` is called with a descriptor and
    its epoll mask, `run` with a stage and its work; neither raises.
    """

    __slots__ = ("_owners", "_run", "_serve", "queues")

    def __init__(self, serve: Callable[[int, int], None], run: Callable[[S, Task], None]) -> None:
        self.queues: dict[object, dict[int | S, int | Task]] = {}
        self._owners: dict[int, object] = {}
        self._serve = serve
        self._run = run

    def add_event(self, owner: object, fd: int, mask: int) -> None:
        """Queue an event for the owner; events of one descriptor are merged."""
        queue = self.queues.setdefault(owner, {})
        before = queue.get(fd, 0)
        queue[fd] = mask | before if isinstance(before, int) else mask
        self._owners[fd] = owner

    def add_work(self, owner: object, stage: S, work: Task) -> None:
        """Queue a stage's work for the owner; it replaces the stage's earlier work."""
        self.queues.setdefault(owner, {})[stage] = work

    def forget(self, fd: int) -> None:
        """Drop the events of a descriptor that is closed or handed over: its number may be reused."""
        queue = self.queues.get(self._owners.pop(fd, None))
        if queue is not None:
            queue.pop(fd, None)

    def serve_next(self) -> None:
        """Serve one owner, for a slice of time, but at least one piece of work."""
        if not self.queues:
            return
        owner, queue = next(iter(self.queues.items()))
        until = monotonic() + SLICE_S
        while queue:
            self._serve_one(queue)
            if monotonic() >= until:
                break
        del self.queues[owner]
        if queue:
            self.queues[owner] = queue

    def _serve_one(self, queue: dict[int | S, int | Task]) -> None:
        key = next(iter(queue))
        work = queue.pop(key)
        if isinstance(key, int) and isinstance(work, int):
            self._owners.pop(key, None)
            self._serve(key, work)
        elif not isinstance(key, int) and not isinstance(work, int):
            self._run(key, work)
