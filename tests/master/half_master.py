"""A master's half of the bus at one broker, as far as moves of a node need it: it hears reports, and sends what a test
wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aio_pika

from shared.messages.bodies import BrokerReport, ConfigBody, ConfigOkBody, Header, NeedSync, Report
from shared.messages.reading import decode
from shared.messages.routes import MASTER_QUEUE, NODE_EXCHANGE, node_queue
from shared.messages.writing import encode, encode_pairs, encode_records
from shared.proxies import NodeId
from tests.services.vhosts import Vhost

CLUSTER = "11111111-1111-4111-8111-111111111111"
NODE = NodeId(1)
WAIT_S = 20.0


@dataclass
class HalfMaster:
    """At one broker. With `confirms` it answers each report of a trial by a config-ok."""

    channel: aio_pika.abc.AbstractChannel
    confirms: bool = True
    records: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Records of proxies that the node has in every list, at version 1."""
    reports: list[Report] = field(default_factory=list[Report])
    requested: set[int] = field(default_factory=set[int])
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by every message of the node."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the broker has closed the channel, or the connection is lost."""

    def end(self, *_: object) -> None:
        self.ended.set()

    async def send(self, type_: str, body: bytes, rev: int = 1) -> None:
        headers = Header(v=1, cluster=CLUSTER, node=NODE, rev=rev).model_dump(exclude_defaults=True)
        exchange = await self.channel.get_exchange(NODE_EXCHANGE, ensure=False)
        await exchange.publish(aio_pika.Message(body, type=type_, headers=headers), str(NODE), mandatory=True)

    async def move(self, rev: int, *urls: str, ca: str | None = None) -> None:
        await self.send("config", encode(ConfigBody(rev=rev, amqp_urls=urls, ca=ca)))

    async def take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        body = decode(message.type, message.body)
        await message.ack()
        if isinstance(body, NeedSync):
            self.requested |= set(body.ids)
            if known := [self.records[id_] for id_ in body.ids if id_ in self.records]:
                await self.send("sync", encode_records(known)[0])
        elif isinstance(body, Report):
            self.reports.append(body)
            if self.confirms and body.broker is not None and body.broker.state == "trial":
                await self.send("config-ok", encode(ConfigOkBody(rev=body.broker.rev)))
        self.heard.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self.heard.clear()
                await self.heard.wait()

    async def reported(self, state: str, rev: int, *, begun: int = 0) -> BrokerReport:
        """Wait for a report of this state at this revision. `begun` of the reports do not count."""
        found: list[BrokerReport] = []

        def holds() -> bool:
            found[:] = [one.broker for one in self.reports[begun:] if one.broker is not None]
            return any((each.state, each.rev) == (state, rev) for each in found)

        await self.until(holds)
        return next(each for each in found if (each.state, each.rev) == (state, rev))

    async def change_arrives(self, rev: int) -> None:
        """Name a proxy that the node lacks, and wait until it requests the record here."""
        await self.send("check-sync", encode_pairs([*((id_, 1) for id_ in self.records), (rev, rev)])[0], rev=rev)
        await self.until(lambda: rev in self.requested)

    async def consumers(self) -> int | None:
        """Count the consumers of the node's queue."""
        queue = await self.channel.declare_queue(node_queue(NODE), passive=True)
        return queue.declaration_result.consumer_count


@asynccontextmanager
async def half_master(vhost: Vhost, *, confirms: bool = True) -> AsyncIterator[HalfMaster]:
    async with await aio_pika.connect(vhost.amqp_url) as connection:
        made = HalfMaster(await connection.channel(publisher_confirms=True, on_return_raises=True), confirms)
        made.channel.close_callbacks.add(made.end)
        await (await made.channel.get_queue(MASTER_QUEUE, ensure=False)).consume(made.take)
        yield made
