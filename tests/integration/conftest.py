"""The API over a database of the test's own, with what it needs of the rest of the master."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from master.broker import Broker
from master.db.database import Database
from master.db.notifications import Notifications
from master.domain.events.stream import EventStream
from master.domain.nodes.enrolment.service import Enrolment
from master.domain.webhooks.delivery import DeliveryRunner
from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import NodeId
from tests.clients import streams
from tests.clients.plain import answer_page
from tests.clients.streams import HERE, LOCAL
from tests.master.dependencies import api_parts
from tests.master.one_link import link_of
from tests.master.shared_app import app_over
from tests.master.waiting_node import WaitingNode, waiting_node
from tests.openapi import conformance
from tests.services.ports import PortBlock, claim_block
from tests.services.postgres import Database as Address
from tests.services.postgres import PostgreSQL
from tests.services.postgres_pool import Pool
from tests.services.rabbitmq import Vhost

ANY_PORT = (range(1, 65536),)
REQUEST = "a-test"
"""The id of all requests."""


@dataclass
class Enroller:
    """Answers with `node`, or raises `error`."""

    node: tuple[int, bool] = (1, True)
    error: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    removed: list[int] = field(default_factory=list[int])

    async def enrol(
        self, ip: str, port: int, challenge: str, name: str | None, location_id: int | None, labels: dict[str, str]
    ) -> tuple[NodeId, bool]:
        self.asked.append({"ip": ip, "port": port, "name": name, "location_id": location_id, "labels": labels})
        if self.error is not None:
            raise self.error
        return NodeId(self.node[0]), self.node[1]

    async def replace(self, node_id: NodeId, ip: str, port: int, challenge: str) -> None:
        self.asked.append({"node_id": node_id, "ip": ip, "port": port})
        if self.error is not None:
            raise self.error

    async def remove(self, node_id: NodeId) -> None:
        self.removed.append(node_id)
        if self.error is not None:
            raise self.error


@dataclass
class Syncer:
    """Remembers what it was asked for."""

    checks: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])

    async def check(self, node_id: NodeId, *, confirm: bool) -> None:
        self.checks.append((node_id, confirm))


@dataclass
class Api:
    """Calls the API, and plays the nodes by writing into the database what their reports would.

    Every answer is held against the OpenAPI document.
    """

    http: httpx.AsyncClient
    rows: "asyncpg.Connection[asyncpg.Record]"
    enroller: Enroller
    syncer: Syncer

    async def call(self, method: str, path: str, status: int, **more: Any) -> Any:
        """The answer's JSON, when it has this status."""
        answer = await self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def location(self, name: str = "here") -> int:
        return (await self.call("POST", "/locations", 201, json={"name": name}))["id"]

    async def node(
        self, *, ip: str | None = None, location_id: int | None = None, engines: tuple[str, ...] = ("builtin",)
    ) -> int:
        """An enrolled node that has reported."""
        number = await self.rows.fetchval("SELECT count(*) + 1 FROM nodes")
        id_ = await self.rows.fetchval(
            "INSERT INTO nodes (name, ip, location_id, engines, challenge_hash, broker_password_hash)"
            " VALUES ($1, $2, $3, $4, $1, 'secret-hash') RETURNING id",
            f"node-{number}",
            ip or f"10.0.0.{number}",
            location_id,
            json.dumps(dict.fromkeys(engines, "1")),
        )
        await self.report(id_)
        return id_

    async def report(self, node_id: int, *, online: bool = True) -> None:
        """The node has confirmed all there is."""
        await self.rows.execute(
            "UPDATE node_status s SET online = $2, session = 1, number = number + 1, reported_at = now(),"
            " rev = n.revision, confirmed_rev = n.revision, held_rev = NULL"
            " FROM nodes n WHERE n.id = $1 AND s.node_id = $1",
            node_id,
            online,
        )

    async def fail(self, proxy_id: int, reason: str) -> None:
        """The node cannot run the proxy at its present version."""
        await self.rows.execute(
            "INSERT INTO proxy_failures (proxy_id, node_id, version, reason)"
            " SELECT id, node_id, version, $2 FROM proxies WHERE id = $1",
            proxy_id,
            reason,
        )

    async def proxy(self, node_id: int, **wish: Any) -> dict[str, Any]:
        return await self.call("POST", "/proxies", 201, json={"node_ids": [node_id], **wish})

    async def state(self, proxy_id: int) -> tuple[str, str | None]:
        status = (await self.call("GET", f"/proxies/{proxy_id}", 200))["status"]
        return status["state"], status["reason"]

    async def event_types(self) -> list[str]:
        return [event["type"] for event in (await self.call("GET", "/events?limit=1000", 200))["items"]]


@pytest.fixture(scope="session")
def databases(postgres: PostgreSQL, template: str) -> Iterator[Pool]:
    """The databases of this process's tests."""
    pool = Pool(postgres, template)
    yield pool
    asyncio.run(pool.close())


@pytest.fixture
async def database(databases: Pool) -> AsyncIterator[Address]:
    """A migrated database that no other test uses meanwhile, with nothing of earlier ones in it."""
    database = await databases.take()
    yield database
    await databases.give(database)


@pytest.fixture
async def api(database: Address) -> AsyncIterator[Api]:
    own = Database(database.connect)
    enroller, syncer = Enroller(), Syncer()
    app = app_over(
        api_parts(
            own,
            enroller=enroller,
            notifications=Notifications(own, lambda: None, lambda: None, lambda _: None),
            syncer=syncer,
            event_stream=EventStream(own),
            deliveries=DeliveryRunner(own, allow_private=False),
        )
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        httpx.AsyncClient(
            transport=transport,
            base_url="http://master",
            headers={"X-Request-Id": REQUEST},
            event_hooks={"response": [conformance.hold]},
        ) as http,
        database.connection() as rows,
    ):
        yield Api(http, rows, enroller, syncer)
    await own.close()


@pytest.fixture
async def broker(vhost: Vhost) -> AsyncIterator[Broker]:
    """The management API of this test's virtual host, with everything but nodes in it."""
    broker = Broker(vhost.management_api)
    await broker.ensure_all({})
    yield broker
    await broker.close()


@pytest.fixture
async def rows(database: Address) -> AsyncIterator[Database]:
    """This test's database as the master opens it."""
    made = Database(database.connect)
    yield made
    await made.close()


@pytest.fixture
async def enrolment(rows: Database, broker: Broker, vhost: Vhost) -> AsyncIterator[Enrolment]:
    """The master's side, with less patience."""
    made = Enrolment(rows, broker, cluster="c1", link=lambda: link_of(vhost), enrol_ports=ANY_PORT, answer_timeout_s=2)
    yield made
    await made.close()


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    """Of an engine; whatever happens, no worker is left in it."""
    yield tmp_path / "engine"
    await BuiltinEngine(tmp_path / "engine").halt()


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[BuiltinEngine]:
    """With one worker, for destinations on this host."""
    async with BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1) as opened:
        yield opened


@pytest.fixture
async def page() -> AsyncIterator[int]:
    """The port of an origin that has one page."""
    async with streams.serving(answer_page) as port:
        yield port


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of an origin that says everything back."""
    async with streams.serving(streams.echo) as port:
        yield port


@pytest.fixture
def block() -> Iterator[PortBlock]:
    """Ports of this test's own."""
    with claim_block().held() as block:
        yield block


@pytest.fixture
async def node(tmp_path: Path, block: PortBlock) -> AsyncIterator[WaitingNode]:
    """It waits to be enrolled."""
    async with waiting_node(tmp_path, block.port(1)) as made:
        yield made
