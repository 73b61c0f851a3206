"""Loops that outlive what is outside of them."""

import asyncio

import pytest

from shared.tasks import Backoff, Endurance, insist

AWAY, FAILED = ConnectionError("away"), LookupError("failed")


def endurance(**settings: float) -> Endurance:
    backoff = Backoff(first_s=0, floor_s=0)
    return Endurance(away=(ConnectionError,), failed=(LookupError,), backoff=backoff, **settings)


def test_an_absence_is_outlived_without_end():
    enduring = endurance(give_up_s=10)
    for now in range(0, 100_000, 100):
        enduring.pause(AWAY, now)


def test_an_unforeseen_error_is_raised_after_minutes_of_nothing_else():
    enduring = endurance(give_up_s=10)
    enduring.pause(FAILED, 0)
    enduring.pause(FAILED, 9)
    with pytest.raises(LookupError):
        enduring.pause(FAILED, 10)


@pytest.mark.parametrize("between", ["success", "absence"])
def test_the_minutes_are_counted_from_the_last_time_that_it_was_otherwise(between: str):
    enduring = endurance(give_up_s=10)
    enduring.pause(FAILED, 0)
    enduring.succeeded() if between == "success" else enduring.pause(AWAY, 5)
    enduring.pause(FAILED, 10)
    enduring.pause(FAILED, 19)


def test_a_bug_is_raised_at_once_also_beside_an_absence():
    with pytest.raises(TypeError):
        endurance().pause(TypeError(), 0)
    with pytest.raises(ExceptionGroup):
        endurance().pause(ExceptionGroup("", [AWAY, TypeError()]), 0)


def test_a_group_of_absences_is_an_absence():
    endurance(give_up_s=0).pause(ExceptionGroup("", [AWAY, ExceptionGroup("", [AWAY])]), 0)


async def test_what_is_insisted_on_is_done_in_the_end():
    answers: list[Exception | str] = [AWAY, FAILED, AWAY, "done"]

    async def act() -> str:
        await asyncio.sleep(0)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await insist(act, loop="test", endurance=endurance()) == "done"


async def test_a_cancelled_loop_ends():
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(insist(asyncio.Event().wait, loop="test", endurance=endurance()))
        await asyncio.sleep(0)
        waiting.cancel()
    assert waiting.cancelled()
