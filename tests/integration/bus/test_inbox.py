"""What becomes of messages that the master cannot act on."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aio_pika
import pytest

from master.broker import Broker
from master.db.database import Database
from master.instruments import Meters
from master.sync.inbox import Inbox
from master.sync.outbox import Outbox
from master.sync.reports import Reports
from shared.bus.envelopes import Incoming
from shared.messages.bodies import Header
from shared.messages.routes import MASTER_QUEUE
from tests.integration.bus.conftest import CLUSTER, bus_of, reaches
from tests.master.one_link import OneLink
from tests.services.rabbitmq import Vhost


@pytest.fixture
async def inbox(rows: Database, two_nodes: Broker, vhost: Vhost) -> AsyncIterator[Inbox]:
    """The master's handler behind a real bus."""
    links = OneLink(two_nodes)
    outbox = Outbox(rows, links, CLUSTER)
    made = Inbox(rows, outbox, Reports(rows, outbox), CLUSTER, Meters())
    bus = links.connection.bus = bus_of(vhost.amqp_url, MASTER_QUEUE, partial(made.handle, over=links.connection))
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
                found = [
                    dict(row) for row in await session.rows("events.follow", after=0, limit=50) if row["type"] == type_
                ]
            if found:
                return found
            await asyncio.sleep(0.05)


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
    await inbox.handle(message, over=OneLink().connection)
    [refused] = await said(rows, "message.refused")
    assert (refused["details"]["user"], refused["actor"]) == (user, "master")
