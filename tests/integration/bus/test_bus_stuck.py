"""A handler that never returns."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from master.broker import Broker
from shared.bus.client import Bus
from shared.bus.envelopes import Incoming, Outgoing
from shared.bus.intake import Intake
from shared.messages.routes import MASTER_QUEUE
from tests.services.rabbitmq import Vhost


@pytest.fixture
async def handled() -> asyncio.Queue[str]:
    """The types of the messages that were handled to the end."""
    return asyncio.Queue()


@pytest.fixture
async def bus(broker: Broker, vhost: Vhost, handled: asyncio.Queue[str]) -> AsyncIterator[Bus]:
    """Its handler never returns from a message of the type "stuck"."""

    async def handle(message: Incoming) -> None:
        if message.type == "stuck":
            await asyncio.Event().wait()
        handled.put_nowait(str(message.type))

    made = Bus(vhost.broker, program="test", intake=Intake(MASTER_QUEUE, handle, handle_s=0.2))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(made.run())
        async with asyncio.timeout(30):
            while made.state != "up":
                await asyncio.sleep(0.01)
        yield made
        running.cancel()


async def test_a_stuck_handler_is_given_up_and_the_messages_behind_it_are_handled(
    bus: Bus, handled: asyncio.Queue[str]
):
    for type_ in ("stuck", "report"):
        await bus.publish(Outgoing(exchange="mp.master", key="node-1.report", type=type_, body=b"[]", header=None))
    async with asyncio.timeout(20):
        assert await handled.get() == "report"


async def test_what_a_handler_was_stuck_on_is_not_delivered_again(bus: Bus, vhost: Vhost, handled: asyncio.Queue[str]):
    for type_ in ("stuck", "report"):
        await bus.publish(Outgoing(exchange="mp.master", key="node-1.report", type=type_, body=b"[]", header=None))
    async with asyncio.timeout(20):
        assert await handled.get() == "report"
        async with vhost.management() as api:
            while (await api.get(f"queues/{vhost.name}/mp.master")).json().get("messages") != 0:
                await asyncio.sleep(0.2)
