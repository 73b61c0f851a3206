"""Doing the same at several brokers side by side, so that one that is stuck does not hold up the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def any_of(
    acts: Sequence[Callable[[], Awaitable[T]]], *, failures: tuple[type[Exception], ...], grace_s: float
) -> T:
    """Return the first result. The other acts have `grace_s` more, then they are cancelled.

    Raises the failure of the first act when all of them fail.
    """
    if len(acts) == 1:
        return await acts[0]()
    results: list[T] = []
    errors: dict[int, Exception] = {}
    decided = asyncio.Event()

    async def attempt(place: int) -> None:
        try:
            results.append(await acts[place]())
        except failures as error:
            errors[place] = error
        if results or len(errors) == len(acts):
            decided.set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(place)) for place in range(len(acts))]
        await decided.wait()
        await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
    if not results:
        raise errors[0]
    return results[0]


async def all_of(
    acts: Sequence[Callable[[], Awaitable[T]]], *, failures: tuple[type[Exception], ...], timeout_s: float
) -> Sequence[T | Exception]:
    """Return the result or the failure of each, in order. One that takes longer than `timeout_s` has failed."""

    async def attempt(act: Callable[[], Awaitable[T]]) -> T | Exception:
        try:
            async with asyncio.timeout(timeout_s):
                return await act()
        except (*failures, TimeoutError) as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(act)) for act in acts]
    return [task.result() for task in tasks]
