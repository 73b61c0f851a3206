"""A virtual host with the logins of two nodes, and links to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest

from master.broker import Broker, password_hash
from shared.bus.addresses import addresses
from shared.bus.client import Bus
from shared.bus.envelopes import Incoming
from shared.bus.intake import Intake
from shared.proxies import NodeId
from tests.services.rabbitmq import Vhost

CLUSTER = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
async def two_nodes(broker: Broker) -> Broker:
    await broker.ensure_all({NodeId(1): password_hash("one"), NodeId(2): password_hash("two")})
    return broker


@pytest.fixture
async def channel(two_nodes: Broker, vhost: Vhost) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """Node 1's own login, in somebody else's hands."""
    connection = await aio_pika.connect(address_of(vhost, "node-1", "one"))
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    yield channel
    await connection.close()


def address_of(vhost: Vhost, user: str, password: str) -> str:
    return f"amqp://{user}:{password}@{vhost.host}:{vhost.port}/{vhost.name}"


async def nothing(_: Incoming) -> None:
    """Take a message."""


def bus_of(url: str, queue: str, handler: Any = nothing, *, exclusive: bool = False) -> Bus:
    return Bus(addresses([url]), program="test", intake=Intake(queue, handler, exclusive=exclusive))


@asynccontextmanager
async def running(bus: Bus) -> AsyncIterator[None]:
    """Keep the bus running inside of the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run())
        yield
        task.cancel()


async def reaches(bus: Bus, state: str) -> None:
    async with asyncio.timeout(15):
        while bus.state != state:
            await asyncio.sleep(0.01)
