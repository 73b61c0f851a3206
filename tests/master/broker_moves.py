"""A real master in the test's process, and nodes that move from broker to broker when they are asked to."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import httpx

from master.app import Master, opened_sockets
from master.broker import password_hash
from master.settings import read_settings
from shared.bus.addresses import ssl_context
from shared.messages.bodies import Header
from tests.services.postgres import Database as Address
from tests.services.rabbitmq import Vhost

LIMIT_S = 30.0
PASSWORD = "pass-word"


@dataclass
class Masters:
    """Masters of one database, the first of which answers."""

    address: Address
    http: httpx.AsyncClient
    cluster: str

    async def call(self, method: str, path: str, status: int, **more: Any) -> Any:
        answer = await self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def answers(self) -> bool:
        """Whether the API is up."""
        try:
            return (await self.http.get("/health/live")).status_code == 200
        except httpx.TransportError:
            return False

    async def until(self, shows: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """GET /system/broker, once it shows this."""
        limit = time.monotonic() + LIMIT_S
        while not shows(found := await self.call("GET", "/system/broker", 200)):
            assert time.monotonic() < limit, found
            await asyncio.sleep(0.1)
        return found

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        found = await self.call("GET", "/events?limit=1000", 200)
        return [(event["type"], event["details"]) for event in found["items"]]

    async def row(self, sql: str, *values: object) -> Any:
        async with self.address.connection() as connection:
            return await connection.fetchrow(sql, *values)


def settings_for(address: Address, vhost: Vhost, port: int, **more: str) -> dict[str, str]:
    """The environment of a master over the plain addresses of this virtual host."""
    return {
        **address.environment,
        **vhost.in_clear().environment,
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "LOG_LEVEL": "info",
        **more,
    }


@asynccontextmanager
async def master(address: Address, environment: dict[str, str]) -> AsyncGenerator[Masters]:
    """Run a master, and end it as a signal does."""
    settings = read_settings(environment)
    async with address.connection() as connection:
        cluster = await connection.fetchval("SELECT id::text FROM cluster")
    with opened_sockets(settings) as sockets:
        running = Master(settings, cluster, sockets)
        running._moves.heartbeat = timedelta(seconds=1)
        async with (
            asyncio.TaskGroup() as group,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api_port}", trust_env=False, timeout=30) as http,
        ):
            task = group.create_task(running.run())
            masters = Masters(address, http, cluster)
            try:
                async with asyncio.timeout(LIMIT_S):
                    while not (running._links.is_up and await masters.answers()):
                        await asyncio.sleep(0.05)
                yield masters
            finally:
                task.cancel()


async def make_node(address: Address) -> int:
    """A node whose login the next connect of a master makes."""
    async with address.connection() as connection:
        number = await connection.fetchval("SELECT count(*) + 1 FROM nodes")
        return await connection.fetchval(
            "INSERT INTO nodes (name, ip, engines, challenge_hash, broker_password_hash)"
            ' VALUES ($1, $2, \'{"builtin": "1"}\', $1, $3) RETURNING id',
            f"node-{number}",
            f"10.0.0.{number}",
            password_hash(PASSWORD),
        )


@dataclass
class Node:
    """The broker's side of a node: it reports, and does what a `config` asks, unless it is `stubborn`."""

    id: int
    cluster: str
    stubborn: str = ""
    is_old: bool = False
    got: list[tuple[str, Any, int]] = field(default_factory=list[tuple[str, Any, int]])
    """Types, bodies, and at which revision the node was."""
    rev: int = 0
    state: str = "moved"
    url: str = ""
    failed_rev: int = 0
    number: int = 0
    _came: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    _channel: Any = None
    _connection: Any = None

    async def connect(self, url: str, ca: str | None = None) -> None:
        """Log in at this address, which has no login, and leave the one before."""
        parts = urlsplit(url)
        address = parts._replace(netloc=f"node-{self.id}:{quote(PASSWORD)}@{parts.netloc}").geturl()
        before = self._connection
        self._connection = await aio_pika.connect(address, ssl_context=ssl_context(ca) if ca else None)
        self._channel = await self._connection.channel(publisher_confirms=True)
        if before is not None:
            await before.close()
        self.url = url
        queue = await self._channel.get_queue(f"mp.node.{self.id}", ensure=False)
        await queue.consume(self._take, exclusive=True)
        await self.report(connected=True)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def report(self, **more: Any) -> None:
        self.number += 1
        broker = {"rev": self.failed_rev or self.rev, "url": self.url, "state": self.state, "reason": self.stubborn}
        body: dict[str, Any] = {
            **{"rev": 0, "seen": 0, "top": 0, "digest": "0" * 16, "content": "0" * 16, "count": 0, "running": 0},
            **{"session": 1000, "number": self.number, "agent": "1.0.0", "engines": {"builtin": "1"}},
            **({} if self.is_old else {"broker": broker}),
            **more,
        }
        headers = Header(v=1, cluster=self.cluster, node=self.id, rev=1).model_dump(exclude_defaults=True)
        message = aio_pika.Message(json.dumps(body).encode(), type="report", headers=headers, user_id=f"node-{self.id}")
        exchange = await self._channel.get_exchange("mp.master", ensure=False)
        await exchange.publish(message, f"node-{self.id}.report")

    async def run(self) -> None:
        """Handle messages: a connection cannot be left by the task that delivers its messages."""
        while True:
            await self._handle(await self._came.get())

    async def _take(self, message: Any) -> None:
        await message.ack()
        self._came.put_nowait(message)

    async def _handle(self, message: Any) -> None:
        body = json.loads(message.body)
        self.got.append((message.type, body, self.rev))
        if message.type == "config" and body["rev"] > self.rev:
            await self._move(body)
        if message.type == "config-ok" and body["rev"] == self.rev and self.state == "trial":
            self.state = "moved"
            await self.report()

    async def _move(self, config: dict[str, Any]) -> None:
        if self.stubborn:
            self.state, self.failed_rev = "failed", config["rev"]
            await self.report()
            return
        self.rev, self.state, self.failed_rev = config["rev"], "trial", 0
        await self.connect(config["amqp_urls"][0], config.get("ca"))

    async def gets(self, type_: str, *, at: int) -> Any:
        """The body of a message of this type that came while the node was at this revision."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for got, body, rev in self.got:
                    if (got, rev) == (type_, at):
                        return body
                await asyncio.sleep(0.02)


@asynccontextmanager
async def nodes(address: Address, count: int, vhost: Vhost, masters: Masters) -> AsyncGenerator[list[Node]]:
    """The first nodes of the database, connected to this virtual host."""
    made = [Node(id_, masters.cluster) for id_ in range(1, count + 1)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.run()) for node in made]
        try:
            for node in made:
                await node.connect(bare(vhost))
            yield made
        finally:
            for node, task in zip(made, tasks, strict=True):
                task.cancel()
                await node.close()


def bare(vhost: Vhost) -> str:
    """The address for nodes."""
    return vhost.in_clear().broker.bare_urls[0]
