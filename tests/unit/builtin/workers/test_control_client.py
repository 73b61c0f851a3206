"""When an agent gives up waiting for a worker's answer."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from node.engine.builtin.frames import frame
from node.engine.builtin.pool.control_client import ControlClient, UnansweredError

TIMEOUT_S = 0.3


@dataclass
class Ends:
    link: ControlClient
    worker: socket.socket

    def answer(self, number: int) -> None:
        self.worker.sendall(frame({"id": number, "result": number}))


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ours, theirs = socket.socketpair()
    link = ControlClient(ours, heard=lambda: None, lost=lambda: None)
    with theirs:
        yield Ends(link, theirs)
        link.close()


def call(ends: Ends) -> Coroutine[Any, Any, Any]:
    return ends.link.call("list", timeout=TIMEOUT_S)


async def test_a_worker_that_says_nothing_is_given_up(ends: Ends) -> None:
    with pytest.raises(UnansweredError):
        await call(ends)


async def test_a_worker_that_is_at_work_on_earlier_orders_is_not_given_up(ends: Ends) -> None:
    """Each answer comes in time for its own order, the last one long after it was sent."""
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(call(ends)) for _ in range(5)]
        for number in range(1, 6):
            await asyncio.sleep(TIMEOUT_S * 0.6)
            ends.answer(number)
    assert [each.result() for each in calls] == [1, 2, 3, 4, 5]


async def test_an_order_that_later_ones_have_overtaken_is_given_up(ends: Ends) -> None:
    async with asyncio.TaskGroup() as tasks:
        first, second = tasks.create_task(failing(ends)), tasks.create_task(call(ends))
        await asyncio.sleep(TIMEOUT_S * 0.6)
        ends.answer(2)
    assert (first.result(), second.result()) == (True, 2)


async def failing(ends: Ends) -> bool:
    try:
        await call(ends)
    except UnansweredError:
        return True
    return False


async def test_an_answer_that_is_there_is_heard_however_late_the_agent_looks(ends: Ends) -> None:
    async with asyncio.TaskGroup() as tasks:
        answered = tasks.create_task(call(ends))
        await asyncio.sleep(0)
        ends.answer(1)
        asyncio.get_running_loop().call_soon(stall)
    assert answered.result() == 1


def stall() -> None:
    """The whole agent stands still for longer than a worker has for an answer."""
    time.sleep(2 * TIMEOUT_S)
