"""Shares a worker's time among its proxies: work that was left over is done in turns.

New events of a proxy that has nothing left over are served first. Then one of the proxies that have work left over gets
a slice of time; the others follow in a circle. Inside a proxy the connections queue up: each does a bounded piece of
work and goes to the end. So a proxy that wants little waits for one slice at most, whatever the others want.
"""

from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

SLICE_S = 0.0005
"""Time of one proxy before the reactor looks for new events; a piece of work that has begun is finished."""

S = TypeVar("S")
Task = Callable[[], None]


class FairQueue(Generic[S]):
    """`queues` holds the work left over, by owner: any object that stands for a proxy.

    The work of a stage is kept once, and so are the events of a descriptor. `serve` takes a descriptor and epoll's
    mask, `do` a stage and its work; neither raises.
    """

    __slots__ = ("_do", "_owners", "_serve", "queues")

    def __init__(self, serve: Callable[[int, int], None], do: Callable[[S, Task], None]) -> None:
        self.queues: dict[object, dict[int | S, int | Task]] = {}
        self._owners: dict[int, object] = {}
        self._serve = serve
        self._do = do

    def add_event(self, owner: object, fd: int, mask: int) -> None:
        """Keep an event for the owner's turn; events of one descriptor are merged."""
        queue = self.queues.setdefault(owner, {})
        before = queue.get(fd, 0)
        queue[fd] = mask | before if isinstance(before, int) else mask
        self._owners[fd] = owner

    def add_work(self, owner: object, stage: S, work: Task) -> None:
        """Keep a stage's work for the owner's turn; it replaces what the stage had left over before."""
        self.queues.setdefault(owner, {})[stage] = work

    def forget(self, fd: int) -> None:
        """Drop the events of a descriptor that is closed or handed over: its number may be given to another."""
        queue = self.queues.get(self._owners.pop(fd, None))
        if queue is not None:
            queue.pop(fd, None)

    def take(self) -> None:
        """Serve one owner: a slice of time at most, one piece of work at least."""
        if not self.queues:
            return
        owner, queue = next(iter(self.queues.items()))
        until = monotonic() + SLICE_S
        while queue:
            self._one(queue)
            if monotonic() >= until:
                break
        del self.queues[owner]
        if queue:
            self.queues[owner] = queue

    def _one(self, queue: dict[int | S, int | Task]) -> None:
        key = next(iter(queue))
        work = queue.pop(key)
        if isinstance(key, int) and isinstance(work, int):
            self._owners.pop(key, None)
            self._serve(key, work)
        elif not isinstance(key, int) and not isinstance(work, int):
            self._do(key, work)
