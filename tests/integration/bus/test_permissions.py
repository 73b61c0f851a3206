"""What the broker lets a node's login do, and for how long."""

import asyncio

import aio_pika
import pytest
from aiormq.exceptions import AMQPError

from master.broker import Broker, password_hash
from shared.proxies import NodeId
from tests.integration.bus.conftest import address_of, bus_of, reaches
from tests.services.rabbitmq import Vhost


async def publish(channel: aio_pika.abc.AbstractChannel, exchange: str, key: str, user: str | None = "node-1") -> None:
    message = aio_pika.Message(b"[]", user_id=user)
    await (await channel.get_exchange(exchange, ensure=False)).publish(message, key)


async def test_a_node_may_read_its_own_queue_and_write_under_its_own_key(channel: aio_pika.abc.AbstractChannel):
    await publish(channel, "mp.master", "node-1.report")
    queue = await channel.get_queue("mp.node.1")
    assert await queue.get(fail=False) is None


async def test_a_node_cannot_read_anothers_queue(channel: aio_pika.abc.AbstractChannel):
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await (await channel.get_queue("mp.node.2", ensure=False)).get(fail=False)


async def test_a_node_cannot_read_the_masters_queue(channel: aio_pika.abc.AbstractChannel):
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await (await channel.get_queue("mp.master", ensure=False)).get(fail=False)


async def test_a_node_can_declare_nothing(channel: aio_pika.abc.AbstractChannel):
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await channel.declare_queue("mine")


async def test_a_node_cannot_write_under_anothers_key(channel: aio_pika.abc.AbstractChannel):
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await publish(channel, "mp.master", "node-2.report")


async def test_a_node_cannot_claim_to_be_another(channel: aio_pika.abc.AbstractChannel):
    with pytest.raises(AMQPError, match="PRECONDITION_FAILED"):
        await publish(channel, "mp.master", "node-1.report", user="node-2")


async def test_a_node_cannot_write_to_another_node(channel: aio_pika.abc.AbstractChannel):
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await publish(channel, "mp.node", "2")


async def test_removing_a_node_cuts_its_connection_at_once(two_nodes: Broker, vhost: Vhost):
    connection = await aio_pika.connect(address_of(vhost, "node-2", "two"))
    closed = asyncio.Event()
    connection.close_callbacks.add(lambda *_: closed.set())
    await two_nodes.remove_node(NodeId(2))
    async with asyncio.timeout(5):
        await closed.wait()


async def test_logins_of_nodes_that_are_no_more_are_taken_at_the_next_connect(two_nodes: Broker, vhost: Vhost):
    await two_nodes.ensure_all({NodeId(1): password_hash("one")})
    async with vhost.management() as api:
        assert (await api.get("users/node-2")).status_code == 404
        assert (await api.get(f"queues/{vhost.name}/mp.node.2")).status_code == 404


async def test_queues_are_of_the_type_that_the_setting_names(vhost: Vhost):
    broker = Broker(vhost.management_api, "quorum")
    await broker.ensure_all({NodeId(1): password_hash("one")})
    await broker.close()
    bus = bus_of(address_of(vhost, "node-1", "one"), "mp.node.1", exclusive=True)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bus.run())
        await reaches(bus, "up")
        async with vhost.management() as api:
            queues = {each["name"]: each["type"] for each in (await api.get(f"queues/{vhost.name}")).json()}
        running.cancel()
    assert queues == {"mp.node.1": "quorum", "mp.master": "quorum", "mp.dead": "quorum"}
