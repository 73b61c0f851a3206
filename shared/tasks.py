"""Running things together, and trying again what the outside may break."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar, cast


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
