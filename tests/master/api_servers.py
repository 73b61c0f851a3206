"""The HTTP side of masters, each with its feed and its LISTEN connection, behind real sockets in the test's loop."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from litestar import Litestar

from master.asgi import create_app
from master.db.database import Database, Row, Session
from master.db.notifications import Notifications
from master.domain.events.stream import EventStream
from master.domain.tokens.authentication import TokenAuthenticator
from master.domain.webhooks.delivery import DeliveryRunner
from master.instruments import Meters
from master.tls import trusted
from shared.http_server import Server, bound_socket
from tests.master.dependencies import api_parts
from tests.openapi import conformance
from tests.services.postgres import Database as Address

LIMIT_S = 20.0


class Recording(Session):
    """Remembers the names of its queries."""

    def __init__(self, session: Session, asked: list[str]) -> None:
        super().__init__(session._connection)
        self._asked = asked

    async def rows(self, name: str, /, **parameters: object) -> list[Row]:
        self._asked.append(name)
        return await super().rows(name, **parameters)

    async def row(self, name: str, /, **parameters: object) -> Row | None:
        self._asked.append(name)
        return await super().row(name, **parameters)


class Watched(Database):
    """Remembers the names of the queries outside of transactions."""

    def __init__(self, connect: Mapping[str, Any]) -> None:
        super().__init__(connect)
        self.asked: list[str] = []

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        async with super().session() as session:
            yield Recording(session, self.asked)


def opened(database: Address) -> Watched:
    return Watched(database.connect)


@dataclass
class Master:
    """`http` reaches its API."""

    http: httpx.AsyncClient
    rows: Watched
    feed: EventStream
    deliveries: DeliveryRunner
    waiter: Notifications

    @asynccontextmanager
    async def stream(self, query: str = "", last: int | None = None) -> AsyncGenerator["Events"]:
        """Server-sent events, after the one that was last."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last is not None else {})}
        async with self.http.stream("GET", f"/events?{query}", headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield Events(answer.aiter_lines())


@dataclass
class Events:
    """As a browser reads them: `last` is the last id, whether or not an event came with it."""

    lines: AsyncIterator[str]
    last: int | None = None

    async def next(self) -> tuple[str, Any]:
        """(type, data) of the next event or reset. Raises TimeoutError, EOFError."""
        while (message := await self.message())[0] in ("hello", "touched"):
            pass
        return message

    async def message(self) -> tuple[str, Any]:
        """(type, data) of the next message, whether or not it is an event. Raises TimeoutError, EOFError."""
        type_, data = "message", ""
        async with asyncio.timeout(LIMIT_S):
            async for line in self.lines:
                field, _, value = line.partition(":")
                match field, value.removeprefix(" "):
                    case "id", text:
                        self.last = int(text)
                    case "event", text:
                        type_ = text
                    case "data", text:
                        data += text
                    case "", "" if not line and data:
                        return type_, json.loads(data)
                    case _:
                        pass
        raise EOFError

    async def ids(self, count: int) -> list[int]:
        """Of the next so many events."""
        return [(await self.next())[1]["id"] for _ in range(count)]


@asynccontextmanager
async def master(
    database: Address, *, kept: int = 4_000, heartbeat_s: float = 15.0, allow_private: bool = True
) -> AsyncGenerator[Master]:
    """Serves for as long as this is open."""
    rows = opened(database)
    feed = EventStream(rows, kept=kept, heartbeat_s=heartbeat_s)
    deliveries = DeliveryRunner(rows, allow_private=allow_private)

    def happened() -> None:
        feed.wake()
        deliveries.wake()

    waiter = Notifications(rows, lambda: None, happened, feed.touches.heard)
    tokens = TokenAuthenticator(rows, Meters())
    parts = {"notifications": waiter, "event_stream": feed, "deliveries": deliveries, "authenticator": tokens}
    app = create_app(api_parts(rows, **parts))
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run) for run in (feed.run(), deliveries.run(), waiter.run(), tokens.run())]
        async with (
            served(app, feed) as url,
            httpx.AsyncClient(
                base_url=url,
                limits=limits,
                timeout=LIMIT_S,
                verify=trusted(),
                trust_env=False,
                event_hooks={"response": [conformance.hold]},
            ) as http,
        ):
            yield Master(http, rows, feed, deliveries, waiter)
        for task in tasks:
            task.cancel()
    await deliveries.close()
    await rows.close()


@asynccontextmanager
async def served(app: Litestar, feed: EventStream) -> AsyncGenerator[str]:
    """Its URL; at the end the feed's streams end first."""
    with closing(bound_socket("127.0.0.1", 0)) as listener:
        listener.listen(2_048)
        server = Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            feed.close()
            server.should_exit = True
