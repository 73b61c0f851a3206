"""Running things together, and trying again what the outside may break."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar, cast

import structlog

log = structlog.get_logger()

GIVE_UP_S = 300.0
"""For an unforeseen error of the outside: a restart by the supervisor may help where waiting does not."""


@dataclass(slots=True)
class Backoff:
    """Full-jitter exponential back-off in seconds: each wait is drawn between 0 and a bound that doubles.

    (The rule is from "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.) `floor` keeps a draw near zero
    from hammering.
    """

    first_s: float = 0.5
    most_s: float = 30.0
    floor_s: float = 0.05
    tries: int = 0

    def next(self) -> float:
        """How long to wait before the next try."""
        bound = min(self.most_s, self.first_s * 2 ** min(self.tries, 32))
        self.tries += 1
        return max(self.floor_s, random.uniform(0, bound))  # noqa: S311 (jitter, not a secret)

    def reset(self) -> None:
        """Begin anew after a success."""
        self.tries = 0


@dataclass(kw_only=True, slots=True)
class Endurance:
    """Decide which failures of the outside a loop survives, and for how long.

    `away`: the outside is not there now, and is tried again without end. `failed`: it answers with an error that no
    code foresees; after `give_up_s` of nothing but these the error is raised. Any other error is a bug and is raised
    at once.
    """

    away: tuple[type[Exception], ...]
    failed: tuple[type[Exception], ...] = ()
    give_up_s: float = GIVE_UP_S
    backoff: Backoff = field(default_factory=Backoff)
    _failing_since: float | None = None

    def succeeded(self) -> None:
        """Begin anew."""
        self.backoff.reset()
        self._failing_since = None

    def pause(self, error: Exception, now: float) -> float:
        """Seconds until the next try; `now` is monotonic. Raises the error when the loop must end."""
        if self._is_all(error, self.away):
            self._failing_since = None
            return self.backoff.next()
        if not self._is_all(error, (*self.away, *self.failed)):
            raise error
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since >= self.give_up_s:
            raise error
        return self.backoff.next()

    def _is_all(self, error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
        return all(isinstance(one, kinds) for one in causes(error))


OutcomeT = TypeVar("OutcomeT")


async def insist(act: Callable[[], Awaitable[OutcomeT]], *, loop: str, endurance: Endurance) -> OutcomeT:
    """Do it until it succeeds; each failure is one line in the log. Raises what `endurance` does not survive."""
    while True:
        try:
            outcome = await act()
        except Exception as error:  # noqa: BLE001 (`pause` raises what is not survived)
            pause = endurance.pause(error, time.monotonic())
            log.warning("loop.put_off", loop=loop, reason=reason_of(error), again_in_s=round(pause, 1))
            await asyncio.sleep(pause)
        else:
            endurance.succeeded()
            return outcome


async def keep_on(turn: Callable[[], Awaitable[None]], *, loop: str, endurance: Endurance) -> None:
    """Take one turn after the other until cancelled, each as `insist` does it. A turn waits for its own work."""
    while True:
        await insist(turn, loop=loop, endurance=endurance)


def causes(error: Exception) -> list[Exception]:
    """The errors of a group, or this one."""
    return list(leaves(cast("ExceptionGroup[Exception]", error))) if isinstance(error, ExceptionGroup) else [error]


def reason_of(error: Exception) -> str:
    """A line for the log, without what an error may quote unless our own errors say it."""
    first = causes(error)[0]
    text = str(getattr(first, "reason", "") or getattr(first, "strerror", "") or "")
    return f"{type(first).__name__}: {text}" if text else type(first).__name__


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """True when the event was set within these seconds."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def run_until(stop: asyncio.Event, *programs: Callable[[], Awaitable[None]]) -> None:
    """Run these as one task group that lives and dies together; `stop` ends all of them.

    A program that returns or raises by itself ends the others too; its exception is raised.
    """

    async def one(program: Callable[[], Awaitable[None]]) -> None:
        await program()
        stop.set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(program)) for program in programs]
        await stop.wait()
        for task in tasks:
            task.cancel()


Item = TypeVar("Item")


async def for_each(items: Iterable[Item], act: Callable[[Item], Awaitable[None]], *, at_once: int) -> None:
    """Does it for all of them, begun in their order, at most so many at a time.

    A task for each place and not for each item: ten thousand tasks that wait for a semaphore cost as much as the work.
    """
    left = iter(items)

    async def place(item: Item) -> None:
        await act(item)
        for another in left:
            await act(another)

    async with asyncio.TaskGroup() as group:
        for item in islice(left, at_once):
            group.create_task(place(item))


Error = TypeVar("Error", bound=Exception)


def leaves(group: ExceptionGroup[Error]) -> Iterator[Error]:
    """The errors in a group of groups, one by one."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from leaves(cast("ExceptionGroup[Error]", error))
        else:
            yield error
