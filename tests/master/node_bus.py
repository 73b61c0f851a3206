"""What a node's login lets its holder do, in front of a master's half of the bus."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aio_pika

from master.app import LANES, lane_of
from master.broker import Broker
from master.db.database import Database
from master.instruments import Meters
from master.sync.inbox import Inbox
from master.sync.outbox import Outbox
from master.sync.rate_limits import PREFETCH, RateLimits
from master.sync.reports import Reports
from shared.bus.client import Bus
from shared.bus.intake import Intake
from shared.messages.bodies import Header
from shared.messages.routes import MASTER_QUEUE
from tests.master.one_link import OneLink
from tests.services.postgres import Database as Address
from tests.services.rabbitmq import Vhost

CLUSTER = "11111111-1111-4111-8111-111111111111"
THIEF, HONEST = 1, 2
REPORT: dict[str, Any] = {
    "rev": 0,
    "seen": 0,
    "top": 0,
    "digest": "0" * 16,
    "content": "0" * 16,
    "count": 0,
    "running": 0,
}


@dataclass
class Login:
    """What a node's login lets its holder do; `got` are the types and bodies that came to its queue."""

    node: int
    connection: aio_pika.abc.AbstractConnection
    channel: aio_pika.abc.AbstractChannel
    got: list[tuple[str | None, bytes]] = field(default_factory=list[tuple[str | None, bytes]])
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, type_: str, body: object, *, key: str | None = None, **more: Any) -> None:
        """`body` is JSON unless it is bytes; `more` are properties of the message."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = Header(v=1, cluster=CLUSTER, node=self.node, rev=1).model_dump(exclude_defaults=True)
        message = aio_pika.Message(raw, **{"type": type_, "headers": headers, "user_id": f"node-{self.node}", **more})
        exchange = await self.channel.get_exchange("mp.master", ensure=False)
        await exchange.publish(message, key or f"node-{self.node}.{type_}", mandatory=True)

    async def round_trip(self) -> float:
        """Seconds from a need-sync for a proxy of its own to the record."""
        self.came.clear()
        began = time.monotonic()
        await self.send("need-sync", [self.node])
        async with asyncio.timeout(20):
            await self.came.wait()
        return time.monotonic() - began


@dataclass
class Master:
    """The master's side of the bus and its database; node 1 has proxy 1, node 2 has proxy 2."""

    rows: Database
    address: Address
    vhost: Vhost
    running: asyncio.Task[None]
    links: OneLink

    async def login(self, node: int) -> Login:
        connection = await aio_pika.connect(
            f"amqp://node-{node}:word-{node}@{self.vhost.host}:{self.vhost.port}/{self.vhost.name}"
        )
        made = Login(node, connection, await connection.channel(publisher_confirms=True, on_return_raises=True))

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            await message.ack()
            made.got.append((message.type, message.body))
            if message.type == "sync":
                made.came.set()

        await (await made.channel.get_queue(f"mp.node.{node}", ensure=False)).consume(take)
        return made

    async def events(self) -> list[dict[str, Any]]:
        async with self.rows.session() as session:
            return [dict(row) for row in await session.rows("events.follow", after=0, limit=1_000)]

    async def told(self, type_: str, text: str = "") -> dict[str, Any]:
        """The first event of this type with this text in its details, once it is there."""
        async with asyncio.timeout(20):
            while True:
                self.check()
                for event in await self.events():
                    if event["type"] == type_ and text in json.dumps(event["details"]):
                        return event
                await asyncio.sleep(0.05)

    def check(self) -> None:
        """Raises what ended the master, if something did."""
        if self.running.done():
            self.running.result()

    async def value(self, sql: str) -> Any:
        async with self.address.connection() as connection:
            return await connection.fetchval(sql)


async def served(rows: Database, database: Address, broker: Broker, vhost: Vhost) -> AsyncIterator[Master]:
    """The master's half of the bus, as its program puts it together."""
    links, floods = OneLink(broker), RateLimits(rows, broker)
    outbox = Outbox(rows, links, CLUSTER)
    inbox = Inbox(rows, outbox, Reports(rows, outbox), CLUSTER, Meters())
    handle = partial(inbox.handle, over=links.connection)
    intake = Intake(MASTER_QUEUE, handle, lanes=LANES, lane=lane_of, prefetch=PREFETCH, admit=floods.admit)
    bus = Bus(vhost.broker, program="master", intake=intake)
    links.connection.bus = bus
    async with asyncio.TaskGroup() as group:
        running, shutting_out = group.create_task(bus.run()), group.create_task(floods.run())
        async with asyncio.timeout(15):
            while bus.state != "up":
                await asyncio.sleep(0.01)
        yield Master(rows, database, vhost, running, links)
        running.cancel()
        shutting_out.cancel()
