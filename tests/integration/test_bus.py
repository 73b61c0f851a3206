"""The bus with a real broker: who may do what, and what becomes of messages that nobody can act on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aiormq.exceptions import AMQPError
from pydantic import SecretStr

from master.broker import Broker, password_hash
from master.db import Database
from master.inbox import Inbox
from master.meters import Meters
from master.outbox import Outbox
from master.reports import Reports
from shared.bus import Bus
from shared.bus.envelopes import Incoming, Outgoing
from shared.bus.failures import BusDown, Unroutable
from shared.bus.intake import Intake
from shared.messages import Header
from shared.messages.reading import decode_header
from shared.messages.routes import MASTER_QUEUE
from shared.proxies import NodeId
from tests.services import Vhost

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


async def nothing(_: Incoming) -> None:
    """Take a message."""


def bus_of(url: str, queue: str, handler: Any = nothing, *, exclusive: bool = False) -> Bus:
    return Bus(SecretStr(url), program="test", intake=Intake(queue, handler, exclusive=exclusive))


async def reaches(bus: Bus, state: str) -> None:
    async with asyncio.timeout(15):
        while bus.state != state:
            await asyncio.sleep(0.01)


async def test_a_refused_login_is_a_state_of_its_own(two_nodes: Broker, vhost: Vhost):
    bus = bus_of(address_of(vhost, "node-1", "wrong"), "mp.node.1")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bus.run())
        await reaches(bus, "refused")
        with pytest.raises(BusDown, match="refused"):
            await bus.publish(Outgoing(exchange="mp.master", key="k", type="t", body=b"[]", header=None))
        running.cancel()


async def test_queues_are_of_the_type_that_the_setting_names(vhost: Vhost):
    broker = Broker(vhost.management_url, SecretStr(vhost.amqp_url), "quorum")
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


@pytest.fixture
async def inbox(rows: Database, two_nodes: Broker, vhost: Vhost) -> AsyncIterator[Inbox]:
    """The master's handler behind a real bus."""
    outbox = Outbox(rows, two_nodes, CLUSTER)
    made = Inbox(rows, outbox, Reports(rows, outbox), CLUSTER, Meters())
    made.bus = outbox.bus = bus = bus_of(vhost.amqp_url, MASTER_QUEUE, made.handle)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bus.run())
        await reaches(bus, "up")
        yield made
        running.cancel()


def header(node: int, cluster: str = CLUSTER) -> dict[str, Any]:
    return Header(v=1, cluster=cluster, node=node, rev=1).model_dump(exclude_defaults=True)


async def said(rows: Database, type_: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while True:
            async with rows.session() as session:
                found = [dict(row) for row in await session.rows("events.select_page", **PAGE, types=[type_])]
            if found:
                return found
            await asyncio.sleep(0.05)


PAGE = {"after": 0, "limit": 50, "node_id": None, "proxy_id": None, "stack_id": None, "location_id": None}


async def test_an_unreadable_message_is_parked_once_with_its_reason(
    inbox: Inbox,
    channel: aio_pika.abc.AbstractChannel,
    vhost: Vhost,
    rows: Database,
):
    message = aio_pika.Message(b"{not json", user_id="node-1", type="report", headers=header(1))
    await (await channel.get_exchange("mp.master", ensure=False)).publish(message, "node-1.report")
    assert (await said(rows, "message.parked"))[0]["details"]["user"] == "node-1"
    async with vhost.management() as api:
        asked = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"}
        parked = (await api.post(f"queues/{vhost.name}/mp.dead/get", json=asked)).json()
    assert [(each["payload"], "JSON" in each["properties"]["headers"]["reason"]) for each in parked] == [
        ("{not json", True)
    ]


@pytest.mark.parametrize(
    ("user", "key", "node", "cluster"),
    [
        (None, "node-1.report", 1, CLUSTER),
        ("node-1", "node-1.report", 2, CLUSTER),
        ("maybe", "node-1.report", 1, CLUSTER),
        ("node-1", "node-2.report", 1, CLUSTER),
        ("node-1", "node-1.need-sync", 1, CLUSTER),
        ("node-1", "node-1.report", 1, "another"),
    ],
)
async def test_a_message_whose_sender_is_not_proven_is_dropped_and_told(
    inbox: Inbox,
    rows: Database,
    user: str | None,
    key: str,
    node: int,
    cluster: str,
):
    body = json.dumps({"rev": 0}).encode()
    message = Incoming(
        type="report",
        body=body,
        headers=header(node, cluster),
        message_id="m",
        round=None,
        user_id=user,
        key=key,
    )
    await inbox.handle(message)
    assert (await said(rows, "message.refused"))[0]["details"]["user"] == user
