"""Running tasks together, and retrying after failures of the outside world."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar, cast

import structlog

log = structlog.get_logger()

GIVE_UP_S = 300.0
"""Time after which repeated unexpected errors end the program: a restart may help where waiting does not."""


@dataclass(slots=True)
class Backoff:
    """Exponential back-off in seconds with full jitter: each wait is random between 0 and a bound that doubles.

    The rule is from "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. No wait is shorter than `floor_s`.
    """

    first_s: float = 0.5
    most_s: float = 30.0
    floor_s: float = 0.05
    tries: int = 0

    def next(self) -> float:
        """Draw the wait before the next try."""
        bound = min(self.most_s, self.first_s * 2 ** min(self.tries, 32))
        self.tries += 1
        return max(self.floor_s, random.uniform(0, bound))  # noqa: S311 (jitter, not a secret)

    def reset(self) -> None:
        """Start over after a success."""
        self.tries = 0


@dataclass(kw_only=True, slots=True)
class Endurance:
    """Policy of a loop: the failures of the outside world that it survives, and for how long.

    `away` errors mean that the other side is unreachable; they are retried for ever. `failed` errors are unexpected
    answers; after `give_up_s` of nothing else, the error is raised. Any other error is a bug and is raised at once.
    """

    away: tuple[type[Exception], ...]
    failed: tuple[type[Exception], ...] = ()
    give_up_s: float = GIVE_UP_S
    backoff: Backoff = field(default_factory=Backoff)
    _failing_since: float | None = None

    def succeeded(self) -> None:
        """Start over after a success."""
        self.backoff.reset()
        self._failing_since = None

    def pause(self, error: Exception, now: float) -> float:
        """Return the seconds until the next try, or raise the error when the loop must end. `now` is monotonic."""
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
    """Repeat `act` until it succeeds, and log each failure. Raises errors that `endurance` does not survive."""
    while True:
        try:
            outcome = await act()
        except Exception as error:  # noqa: BLE001 (`pause` raises the errors that must end the loop)
            pause = endurance.pause(error, time.monotonic())
            log.warning("loop.delayed", loop=loop, reason=reason_of(error), again_in_s=round(pause, 1))
            await asyncio.sleep(pause)
        else:
            endurance.succeeded()
            return outcome


async def keep_on(turn: Callable[[], Awaitable[None]], *, loop: str, endurance: Endurance) -> None:
    """Run `turn` again and again until cancelled, each time as `insist` does. A turn waits for its own work."""
    while True:
        await insist(turn, loop=loop, endurance=endurance)


def causes(error: Exception) -> list[Exception]:
    """List the errors of a group, or this one."""
    return list(leaves(cast("ExceptionGroup[Exception]", error))) if isinstance(error, ExceptionGroup) else [error]


def reason_of(error: Exception) -> str:
    """Describe an error in a line for the log. Texts of foreign errors are left out: they may quote secrets."""
    first = causes(error)[0]
    text = str(getattr(first, "reason", "") or getattr(first, "strerror", "") or "")
    return f"{type(first).__name__}: {text}" if text else type(first).__name__


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event; False when it was not set within these seconds."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def run_until(stop: asyncio.Event, *programs: Callable[[], Awaitable[None]]) -> None:
    """Run these in one task group until `stop` is set.

    When one of them returns or raises, the others are cancelled too, and its exception is raised.
    """

    async def run(program: Callable[[], Awaitable[None]]) -> None:
        await program()
        stop.set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(program)) for program in programs]
        await stop.wait()
        for task in tasks:
            task.cancel()


Item = TypeVar("Item")


async def for_each(items: Iterable[Item], act: Callable[[Item], Awaitable[None]], *, at_once: int) -> None:
    """Act on all items, started in their order, at most `at_once` at a time.

    There are `at_once` tasks, not one per item: ten thousand tasks that wait for a semaphore cost as much as the work.
    """
    left = iter(items)

    async def worker(item: Item) -> None:
        await act(item)
        for another in left:
            await act(another)

    async with asyncio.TaskGroup() as group:
        for item in islice(left, at_once):
            group.create_task(worker(item))


Error = TypeVar("Error", bound=Exception)


def leaves(group: ExceptionGroup[Error]) -> Iterator[Error]:
    """Yield the errors in nested groups."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from leaves(cast("ExceptionGroup[Error]", error))
        else:
            yield error


async def in_turns(items: Iterable[Item], *, most: int = 100) -> AsyncIterator[Item]:
    """Yield the items, and let other tasks run after every `most` of them: for work that takes long in sum."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % most == 0:
            await asyncio.sleep(0)
