"""A program's link to the broker."""

import asyncio

import pytest

from master.broker import Broker, password_hash
from shared.bus.addresses import addresses
from shared.bus.envelopes import Incoming, Outgoing
from shared.bus.failures import BusDown, Unroutable
from shared.bus.logins import try_logins
from shared.messages.bodies import Header
from shared.messages.reading import decode_header
from shared.messages.routes import MASTER_QUEUE
from shared.proxies import NodeId
from tests.integration.bus.conftest import CLUSTER, address_of, bus_of, reaches
from tests.services.rabbitmq import Vhost


async def test_a_refused_login_is_a_state_of_its_own(two_nodes: Broker, vhost: Vhost):
    bus = bus_of(address_of(vhost, "node-1", "wrong"), "mp.node.1")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bus.run())
        await reaches(bus, "refused")
        with pytest.raises(BusDown, match="refused"):
            await bus.publish(Outgoing(exchange="mp.master", key="k", type="t", body=b"[]", header=None))
        running.cancel()


async def test_a_clone_with_the_same_login_is_seen_and_refused(two_nodes: Broker, vhost: Vhost):
    address = address_of(vhost, "node-1", "one")
    one, clone = (bus_of(address, "mp.node.1", exclusive=True) for _ in range(2))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(one.run())
        await reaches(one, "up")
        second = group.create_task(clone.run())
        await reaches(clone, "occupied")
        assert one.state == "up"
        first.cancel()
        second.cancel()


async def test_headers_arrive_as_they_were_sent(two_nodes: Broker, vhost: Vhost):
    got: asyncio.Queue[Incoming] = asyncio.Queue()
    bus = bus_of(vhost.amqp_url, "mp.node.1", got.put)
    sent = Header(v=1, cluster=CLUSTER, node=1, rev=7, part=1, parts=2, confirm=((5, 2), (7, 10**9)))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bus.run())
        await reaches(bus, "up")
        await bus.publish(Outgoing(exchange="mp.node", key="1", type="check-sync", body=b"[]", header=sent))
        async with asyncio.timeout(5):
            message = await got.get()
        running.cancel()
    assert decode_header(message.headers) == sent
    assert message.headers["confirm"] == [[5, 2], [7, 10**9]]


async def test_a_message_for_nobody_is_told_as_such(two_nodes: Broker, vhost: Vhost):
    bus = bus_of(vhost.amqp_url, MASTER_QUEUE)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bus.run())
        await reaches(bus, "up")
        with pytest.raises(Unroutable):
            await bus.publish(Outgoing(exchange="mp.node", key="99", type="check-sync", body=b"[]", header=None))
        running.cancel()


async def test_a_virtual_host_that_the_login_may_not_enter_refuses_it(two_nodes: Broker, vhost: Vhost):
    address = address_of(vhost, "node-1", "one").rpartition("/")[0] + "/another"
    bus = bus_of(address, "mp.node.1")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bus.run())
        await reaches(bus, "refused")
        running.cancel()
    [result] = await try_logins(addresses([address]), queue="mp.node.1")
    assert result.state == "vhost refused"
    assert "another" in result.reason


async def test_a_bus_that_cannot_connect_ends_at_whatever_moment_it_is_cancelled():
    for steps in range(1, 80):
        bus = bus_of("amqp://node-1:one@127.0.0.1:1/", "mp.node.1")
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            running = group.create_task(bus.run())
            for _ in range(steps):
                await asyncio.sleep(0)
            running.cancel()


async def test_a_program_whose_queue_is_deleted_notices_and_is_back_when_the_queue_is(two_nodes: Broker, vhost: Vhost):
    nodes = {NodeId(number): password_hash(password) for number, password in ((1, "one"), (2, "two"))}
    await two_nodes.repair_logins(nodes)
    bus = bus_of(address_of(vhost, "node-1", "one"), "mp.node.1")
    async with asyncio.TaskGroup() as group, vhost.management() as api:
        running = group.create_task(bus.run())
        await reaches(bus, "up")
        for name in ("mp.node.1", MASTER_QUEUE):
            (await api.delete(f"queues/{vhost.name}/{name}")).raise_for_status()
        await reaches(bus, "down")
        assert await two_nodes.repair_logins(nodes) == []
        assert (await api.get(f"queues/{vhost.name}/{MASTER_QUEUE}")).status_code == 200
        await reaches(bus, "up")
        running.cancel()
