"""A node that was enrolled and has turned: whatever its login lets it send harms nobody else, and is told."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import pytest
from aiormq.exceptions import AMQPError, PublishError
from pydantic import SecretStr

from master.app import LANES, lane_of
from master.broker import Broker, password_hash
from master.db import Database
from master.floods import PREFETCH, Floods
from master.inbox import Inbox
from master.meters import Meters
from master.outbox import Outbox
from master.reports import Reports
from shared.bus import Bus
from shared.bus.intake import Intake
from shared.messages import Header
from shared.messages.routes import MASTER_QUEUE
from shared.proxies import MAX_BIGINT, NodeId
from tests.services import Database as Address
from tests.services import Vhost

CLUSTER = "11111111-1111-4111-8111-111111111111"
THIEF, HONEST = 1, 2
PAGE = {
    "after": 0,
    "limit": 1000,
    "node_id": None,
    "proxy_id": None,
    "location_id": None,
    "types": [],
    "stack_id": None,
}
REPORT: dict[str, Any] = {
    "rev": 0,
    "seen": 0,
    "top": 0,
    "digest": "0" * 16,
    "content": "0" * 16,
    "count": 0,
    "running": 0,
}
ASK = {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}


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
            return [dict(row) for row in await session.rows("events.select_page", **PAGE)]

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


@pytest.fixture
async def master(rows: Database, database: Address, broker: Broker, vhost: Vhost) -> AsyncIterator[Master]:
    async with database.connection() as connection:
        for node in (THIEF, HONEST):
            await connection.execute(
                "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ($1, '127.0.0.1', $1, 'h')",
                f"n{node}",
            )
            await connection.execute(
                "INSERT INTO proxies (node_id, port, protocol, username, password) VALUES ($1, 20000, 'http', 'u', $2)",
                node,
                f"secret-of-{node}",
            )
    await broker.ensure_all({NodeId(node): password_hash(f"word-{node}") for node in (THIEF, HONEST)})
    async for made in served(rows, database, broker, vhost):
        yield made


async def served(rows: Database, database: Address, broker: Broker, vhost: Vhost) -> AsyncIterator[Master]:
    """The master's half of the bus, as its program puts it together."""
    outbox, floods = Outbox(rows, broker, CLUSTER), Floods(rows, broker)
    inbox = Inbox(rows, outbox, Reports(rows, outbox), CLUSTER, Meters())
    intake = Intake(MASTER_QUEUE, inbox.handle, lanes=LANES, lane=lane_of, prefetch=PREFETCH, admit=floods.admit)
    bus = Bus(SecretStr(vhost.amqp_url), program="master", intake=intake)
    inbox.bus = outbox.bus = bus
    async with asyncio.TaskGroup() as group:
        running, shutting_out = group.create_task(bus.run()), group.create_task(floods.run())
        async with asyncio.timeout(15):
            while bus.state != "up":
                await asyncio.sleep(0.01)
        yield Master(rows, database, vhost, running)
        running.cancel()
        shutting_out.cancel()


@pytest.fixture
async def thief(master: Master) -> AsyncIterator[Login]:
    login = await master.login(THIEF)
    yield login
    await login.connection.close()


@pytest.fixture
async def honest(master: Master) -> AsyncIterator[Login]:
    login = await master.login(HONEST)
    yield login
    await login.connection.close()


def deep() -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


def report(**changes: Any) -> bytes:
    return json.dumps(REPORT | changes).encode()


def failure(**changes: Any) -> dict[str, Any]:
    return {"id": THIEF, "version": 1, "reason": "no", **changes}


UNREADABLE = {
    "no json": ("report", b"{"),
    "deep json": ("report", deep()),
    "deep ids": ("need-sync", deep()),
    "deep member": ("report", report()[:-1] + b', "x": ' + deep() + b"}"),
    "one byte too many": ("report", b" " * 1_048_577),
    "a negative count": ("report", report(count=-1)),
    "a revision past bigint": ("report", report(seen=MAX_BIGINT + 1)),
    "a huge number": ("report", report()[:-1] + b', "number": 1' + b"0" * 5000 + b"}"),
    "a thousand engines": ("report", report(agent="a", engines={f"e{i}": "1" for i in range(1000)})),
    "a NUL in an engine": ("report", report(agent="a", engines={"e\0": "1"})),
    "a NUL in an engine's version": ("report", report(agent="a", engines={"e": "\0"})),
    "a NUL in a wrong engine": ("report", report(agent="a", engines={"e\0": 5})),
    "an engine of a long name": ("report", report(agent="a", engines={"e" * 500_000: 5})),
    "a NUL in the agent": ("report", report(agent="a\0")),
    "a NUL in the foreign cluster": ("report", report(foreign="a\0")),
    "half a letter": ("report", b'{"agent": "\\ud800"}'),
    "a check-sync for the master that is none": ("need-sync", b'{"a": "b"}'),
}


@pytest.mark.parametrize("what", list(UNREADABLE))
async def test_what_nobody_can_act_on_is_parked_and_the_next_is_answered(
    master: Master, thief: Login, honest: Login, what: str
):
    type_, body = UNREADABLE[what]
    await thief.send(type_, body)
    assert (await master.told("message.parked"))["details"]["user"] == "node-1"
    await honest.round_trip()
    master.check()


REFUSED = {
    "the highest revision there is": {"seen": MAX_BIGINT},
    "a revision far ahead": {"seen": 2**53},
    "a list newer than what was seen": {"rev": MAX_BIGINT},
    "an agent from the far future": {"session": MAX_BIGINT},
}


@pytest.mark.parametrize("what", list(REFUSED))
async def test_absurd_figures_are_refused_and_its_next_report_is_taken(master: Master, thief: Login, what: str):
    before = await master.value("SELECT revision FROM nodes WHERE id = 1")
    await thief.send("report", REPORT | REFUSED[what])
    await master.told("message.refused")
    assert await master.value("SELECT revision FROM nodes WHERE id = 1") == before
    await thief.send("report", REPORT | {"session": 1})
    await master.told("node.online")


HARMLESS = {
    "the highest version there is": {"seen": 50, "top": MAX_BIGINT},
    "another content at the highest version": {"top": MAX_BIGINT, "same": True},
    "failures of others": {"failed": [failure(id=HONEST), failure(id=MAX_BIGINT)]},
    "one failure twice": {"failed": [failure(), failure(reason="other")]},
    "ports of others": {"failed": [failure(id=HONEST, port_taken=True), failure(id=999, port_taken=True)]},
    "letters that nothing prints": {"failed": [failure(reason="a\0\x1b[31m\r\n\u202e")]},
    "15,000 failures": {"failed": [failure(id=i) for i in range(1, 15_001)]},
    "failures in an empty range": {"failed": [failure()], "failed_from": MAX_BIGINT, "failed_to": 0},
    "the highest counts": {"count": MAX_BIGINT, "running": MAX_BIGINT, "missing": MAX_BIGINT},
    "a held list of everything": {"held": {"rev": MAX_BIGINT, "stops": MAX_BIGINT, "of": 0}},
    "the last number": {"number": MAX_BIGINT},
}


@pytest.mark.parametrize("what", list(HARMLESS))
async def test_lies_about_itself_change_nothing_of_others(master: Master, thief: Login, honest: Login, what: str):
    lie = dict(HARMLESS[what])
    if lie.pop("same", False):
        lie |= await same_list(master)
    await thief.send("report", REPORT | {"session": 1, "number": 1} | lie)
    await thief.round_trip()
    await honest.round_trip()
    others = "SELECT array[n.revision, p.version, (SELECT count(*) FROM proxy_failures WHERE proxy_id = 2)"
    assert await master.value(f"{others}] FROM nodes n JOIN proxies p ON p.id = n.id WHERE n.id = 2") == [2, 1, 0]
    assert await master.value("SELECT count(*) FROM taken_ports WHERE node_id = 2") == 0
    await changed(master)
    master.check()


async def same_list(master: Master) -> dict[str, Any]:
    async with master.rows.session() as session:
        row = await session.row("sync.wanted_digest", node_id=THIEF)
    assert row
    return {"rev": row["revision"], "seen": row["revision"], "digest": f"{int(row['digest']) % 2**64:016x}"}


async def changed(master: Master) -> None:
    """A thousand changes of its proxy are still possible."""
    async with master.address.connection() as connection:
        await connection.execute("UPDATE proxies SET version = version + 1000 WHERE id = 1")
        await connection.execute("UPDATE nodes SET revision = revision + 1000 WHERE id = 1")


async def test_asking_for_anothers_proxies_gets_nothing_of_them(master: Master, thief: Login):
    await thief.send("need-sync", [HONEST, 1, 999, MAX_BIGINT, *range(3, 4000)])
    async with asyncio.timeout(10):
        await thief.came.wait()
    await thief.round_trip()
    records = [record for type_, body in thief.got if type_ == "sync" for record in json.loads(body)]
    assert {record["id"] for record in records} == {THIEF}
    assert b"secret-of-2" not in b"".join(body for _, body in thief.got)


HEADERS: dict[str, Any] = {
    "none": None,
    "a node that is a word": {"v": 1, "cluster": CLUSTER, "node": "one", "rev": 1},
    "a table for a node": {"v": 1, "cluster": CLUSTER, "node": {"a": 1}, "rev": 1},
    "bytes for a cluster": {"v": 1, "cluster": bytearray(b"\xff\xfe"), "node": 1, "rev": 1},
    "a NUL in the cluster": {"v": 1, "cluster": "a\0", "node": 1, "rev": 1},
    "another version": {"v": 2, "cluster": CLUSTER, "node": 1, "rev": 1},
    "nobody": {"v": 1, "cluster": CLUSTER, "node": MAX_BIGINT, "rev": 1},
}


@pytest.mark.parametrize("what", list(HEADERS))
async def test_wrong_headers_are_told_and_harm_nothing(master: Master, thief: Login, honest: Login, what: str):
    await thief.send("report", REPORT, headers=HEADERS[what])
    await said(master)
    await honest.round_trip()
    master.check()


async def said(master: Master) -> None:
    """Until an event tells of it."""
    async with asyncio.timeout(10):
        while not {"message.parked", "message.refused"} & {event["type"] for event in await master.events()}:
            master.check()
            await asyncio.sleep(0.05)


async def test_a_routing_key_of_odd_letters_is_refused(master: Master, thief: Login, honest: Login):
    await thief.send("report", REPORT, key="node-1.\0\x1b\u202e")
    await master.told("message.refused")
    await honest.round_trip()


async def test_a_message_without_a_sender_is_refused(master: Master, thief: Login):
    await thief.send("report", REPORT, user_id=None)
    assert "user_id" in (await master.told("message.refused"))["details"]["reason"]


async def test_a_report_for_another_node_is_refused(master: Master, thief: Login):
    headers = Header(v=1, cluster=CLUSTER, node=HONEST, rev=1).model_dump(exclude_defaults=True)
    await thief.send("report", REPORT, headers=headers)
    assert "node 2" in (await master.told("message.refused"))["details"]["reason"]
    assert not await master.value("SELECT online FROM node_status WHERE node_id = 2")


@pytest.mark.parametrize("type_", ["check-sync", "sync"])
async def test_what_only_a_master_says_is_refused_of_a_node(master: Master, thief: Login, type_: str):
    await thief.send(type_, [])
    await master.told("message.refused")


FORBIDDEN = {
    "reading another's queue": lambda login: taken(login, "mp.node.2"),
    "declaring a queue": lambda login: login.channel.declare_queue("mine"),
    "declaring an exchange": lambda login: login.channel.declare_exchange("mine"),
    "deleting its own queue": lambda login: login.channel.queue_delete("mp.node.1"),
    "deleting the master's exchange": lambda login: login.channel.exchange_delete("mp.master"),
    "emptying the master's queue": lambda login: emptied(login, "mp.master"),
    "emptying another's queue": lambda login: emptied(login, "mp.node.2"),
    "binding its queue to the master's exchange": lambda login: bound(login, "mp.node.1", "mp.master"),
    "binding its queue to the nodes' exchange": lambda login: bound(login, "mp.node.1", "mp.node"),
    "writing to the nodes' exchange": lambda login: written(login, "mp.node", "2"),
    "writing to a queue by the default exchange": lambda login: written(login, "", "mp.node.2"),
    "writing under another's key": lambda login: login.send("report", b"{}", key="node-2.report"),
    "writing under a key that begins like its own": lambda login: login.send("report", b"{}", key="node-12.report"),
    "writing in another's name": lambda login: login.send("report", b"{}", user_id="node-2"),
    "reading the master's queue": lambda login: taken(login, "mp.master"),
}


async def taken(login: Login, queue: str) -> None:
    await (await login.channel.get_queue(queue, ensure=False)).get(fail=False)


async def emptied(login: Login, queue: str) -> None:
    await (await login.channel.get_queue(queue, ensure=False)).purge()


async def bound(login: Login, queue: str, exchange: str) -> None:
    await (await login.channel.get_queue(queue, ensure=False)).bind(exchange, "#")


async def written(login: Login, exchange: str, key: str) -> None:
    message = aio_pika.Message(b"[]", user_id=f"node-{login.node}", type="sync")
    target = await login.channel.get_exchange(exchange, ensure=False) if exchange else login.channel.default_exchange
    await target.publish(message, key)


@pytest.mark.parametrize("what", list(FORBIDDEN))
async def test_the_broker_refuses_a_nodes_login_everything_but_its_own(master: Master, what: str):
    login = await master.login(THIEF)
    try:
        with pytest.raises((AMQPError, PublishError), match=r"ACCESS_REFUSED|PRECONDITION_FAILED"):
            await FORBIDDEN[what](login)
    finally:
        await login.connection.close()


async def test_a_body_of_16_mebibytes_is_parked_in_part(master: Master, thief: Login, honest: Login):
    await thief.send("report", b" " * (16 * 1_048_576))
    await master.told("message.parked", "16777216 bytes")
    await honest.round_trip()


class Raw(str):
    """Text whose bytes on the wire are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: object, **__: object) -> bytes:
        return self.encoded

    encoded = b"node-1.\xff\xfe"


def nested() -> dict[str, Any]:
    """Deeper than the driver's decoder goes, which recurses."""
    table: dict[str, Any] = {}
    for _ in range(400):
        table = {"a": table}
    return table


UNDECODABLE: dict[str, dict[str, Any]] = {
    "type": {"type": Raw("odd")},
    "name of a header": {"headers": {Raw("odd"): 1}},
    "tables in tables": {"headers": nested()},
    "routing key": {"key": Raw("odd")},
}


@pytest.mark.parametrize("what", list(UNDECODABLE))
async def test_properties_that_are_no_text_cut_nobody_off(master: Master, thief: Login, honest: Login, what: str):
    await thief.send("report", REPORT, **UNDECODABLE[what])
    await said(master)
    await honest.round_trip()


async def flooded(vhost: Vhost, count: int) -> tuple[int, float]:
    """Messages that the thief, in a process of its own, got rid of, and the seconds that it took."""
    url = f"amqp://node-{THIEF}:word-{THIEF}@{vhost.host}:{vhost.port}/{vhost.name}"
    flood = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.flood", str(THIEF), str(count)),
        env={**os.environ, "AMQP_URL": url, "CLUSTER": CLUSTER},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await flood.communicate()
    sent, seconds = told.split()
    return int(sent), float(seconds)


async def latencies(honest: Login, over: asyncio.Event, least: int) -> list[float]:
    """Of rounds one after the other, until it is over; at least so many."""
    taken: list[float] = []
    while len(taken) < least or not over.is_set():
        taken.append(await honest.round_trip())
        await asyncio.sleep(0.02)
    return taken


async def test_a_flood_of_20000_messages_gets_its_sender_shut_out_and_holds_up_nobody(master: Master, honest: Login):
    over = asyncio.Event()
    over.set()
    before = statistics.median(await latencies(honest, over, 50))
    over.clear()
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(latencies(honest, over, 100))
        sent, seconds = await flooded(master.vhost, 20_000)
        over.set()
    during = measuring.result()
    print(
        f"{sent} messages in {seconds} s; median {before * 1000:.1f} ms before, "
        f"{statistics.median(during) * 1000:.1f} during, slowest {max(during) * 1000:.0f}"
    )
    assert statistics.median(during) < 3 * before + 0.1
    assert max(during) < 5
    assert sent < 4_000
    assert (await master.told("node.flooded"))["node_id"] == THIEF
    with pytest.raises(AMQPError):
        await master.login(THIEF)
    master.check()


async def test_a_node_that_reports_as_fast_as_an_honest_one_ever_does_is_not_shut_out(master: Master, honest: Login):
    for _ in range(5):
        for _ in range(30):
            await honest.send("report", REPORT)
        await honest.round_trip()
    assert "node.flooded" not in {event["type"] for event in await master.events()}
