"""Requests that last: they end with their token. And what holds while the database is away."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any

import httpx
import pytest

from master.api.authentication import client_address
from master.api.http_protocol import HttpProtocol
from master.api.servers import api_config
from master.db.database import Database, Session
from master.domain.tokens import service as tokens
from master.domain.tokens.authentication import FRESH_S, TokenAuthenticator
from master.domain.tokens.schemas import NewToken
from master.errors import DatabaseAway, Unauthorized
from master.instruments import Meters
from master.schemas.access import ANYBODY
from master.schemas.token_format import new_token
from shared.http_server import Server, bound_socket
from tests.master.api_servers import Events, Master, master, opened
from tests.services.postgres import Database as Address

LIMIT_S = 10.0
ENDS_WITHIN_S = 3 * FRESH_S
"""A second until it is noticed, and time for a busy machine."""


@pytest.fixture
async def served(database: Address) -> AsyncIterator[Master]:
    async with master(database) as made:
        yield made


async def created(api: Master, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    """A new token."""
    answer = await api.http.post("/tokens", json={"name": "t", "scopes": ["read"], **body}, headers=headers or {})
    assert answer.status_code == 201, answer.text
    return answer.json()


def bearer(token: dict[str, Any]) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token['token']}"}


async def rest_of(answer: httpx.Response) -> float:
    """Read a stream to its proper end; the seconds that this took."""
    began = time.monotonic()
    async with asyncio.timeout(LIMIT_S):
        async for _ in answer.aiter_raw():
            pass
    return time.monotonic() - began


async def test_a_revoked_token_ends_its_open_streams_and_no_others(served: Master) -> None:
    admin = await created(served, name="admin", scopes=["admin"])
    reader = await created(served, bearer(admin))
    stream = {"Accept": "text/event-stream"}
    async with (
        served.http.stream("GET", "/events", headers={**stream, **bearer(reader)}) as ending,
        served.http.stream("GET", "/events", headers={**stream, **bearer(admin)}) as lasting,
    ):
        events = Events(lasting.aiter_lines())
        assert (await events.message())[0] == "hello"
        await served.http.delete(f"/tokens/{reader['id']}", headers=bearer(admin))
        assert await rest_of(ending) < ENDS_WITHIN_S
        assert (await events.next())[0] == "token.revoked"
        answer = await served.http.post("/locations", json={"name": "after"}, headers=bearer(admin))
        assert (answer.status_code, (await events.next())[0]) == (201, "location.created")


async def test_streams_without_a_token_end_when_tokens_are_required(served: Master) -> None:
    async with served.http.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as answer:
        await created(served, name="admin", scopes=["admin"])
        assert await rest_of(answer) < ENDS_WITHIN_S


async def test_an_expired_token_ends_its_open_streams(served: Master, database: Address) -> None:
    admin = await created(served, name="admin", scopes=["admin"])
    async with served.http.stream("GET", "/events", headers={"Accept": "text/event-stream", **bearer(admin)}) as answer:
        async with database.connection() as rows:
            await rows.execute("UPDATE tokens SET expires_at = now()")
        assert await rest_of(answer) < ENDS_WITHIN_S


async def test_a_request_that_waits_is_refused_when_its_token_is_revoked(served: Master, database: Address) -> None:
    """A stranger's `Prefer: wait` holds nothing open for longer than the permission."""
    admin = await created(served, name="admin", scopes=["admin"])
    async with database.connection() as rows:
        node = await rows.fetchval(
            "INSERT INTO nodes (name, ip, engines, challenge_hash, broker_password_hash)"
            " VALUES ('n', '10.0.0.1', '{\"builtin\": \"1\"}', 'c', 'h') RETURNING id"
        )
        headers = {**bearer(admin), "Prefer": "wait=30"}
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(served.http.post("/proxies", json={"node_ids": [node]}, headers=headers))
            while not await rows.fetchval("SELECT count(*) FROM proxies"):
                await asyncio.sleep(0.01)
            await rows.execute("UPDATE tokens SET expires_at = now()")
    assert waiting.result().status_code == 401, waiting.result().text


async def test_a_change_by_another_master_is_heeded_within_a_second(served: Master, database: Address) -> None:
    admin = await created(served, name="admin", scopes=["admin"])
    assert (await served.http.get("/locations", headers=bearer(admin))).status_code == 200
    async with database.connection() as rows:
        await rows.execute("UPDATE tokens SET hash = 'another'")
    began = time.monotonic()
    while (await served.http.get("/locations", headers=bearer(admin))).status_code == 200:
        assert time.monotonic() - began < ENDS_WITHIN_S
        await asyncio.sleep(0.05)


async def test_the_database_is_asked_once_a_second_for_a_token(served: Master) -> None:
    admin = await created(served, name="admin", scopes=["admin"])
    served.rows.asked.clear()
    began = time.monotonic()
    for _ in range(20):
        await served.http.get("/tokens/current", headers=bearer(admin))
    assert served.rows.asked.count("tokens.find") <= 1 + (time.monotonic() - began) / FRESH_S


async def test_while_the_database_is_away_nobody_is_let_in_who_was_not_known(database: Address) -> None:
    rows = opened(database)
    authenticator = TokenAuthenticator(rows, Meters(), fresh_s=0)
    assert await authenticator.access_of(None, "127.0.0.1") == ANYBODY
    away = TokenAuthenticator(opened(Address(**{**vars(database), "port": 1})), Meters(), fresh_s=0)
    for without_database in (True, False):
        with pytest.raises(DatabaseAway):
            await away.access_of(None, "127.0.0.1", without_database=without_database)
        with pytest.raises(DatabaseAway):
            await away.access_of(new_token(), "127.0.0.1", without_database=without_database)
        with pytest.raises(Unauthorized):
            await away.access_of("mp_mistyped", "127.0.0.1", without_database=without_database)
    await rows.close()


class Cuttable(Database):
    """A database that can be cut off."""

    is_cut = False

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        if self.is_cut:
            raise DatabaseAway("cut")
        async with super().session() as session:
            yield session


async def test_while_the_database_is_away_a_known_token_still_reads_what_needs_no_database(database: Address) -> None:
    rows = Cuttable(database.connect)
    authenticator = TokenAuthenticator(rows, Meters(), fresh_s=0)
    async with rows.transaction() as session:
        made = await tokens.create(session, NewToken(name="prometheus", scopes=["metrics"]))
    known = await authenticator.access_of(made.token, "127.0.0.1")
    rows.is_cut = True
    assert await authenticator.access_of(made.token, "127.0.0.1", without_database=True) == known
    with pytest.raises(DatabaseAway):
        await authenticator.access_of(made.token, "127.0.0.1", without_database=False)
    await rows.close()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", ""),
    ],
)
def test_an_address_has_one_spelling(host: str, address: str) -> None:
    assert client_address({"client": (host, 1)}) == address
    assert client_address({"client": None}) == ""


async def address_seen(headers: Mapping[str, str]) -> str:
    """The address that an application behind the API's own server sees of a client with these headers."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(client_address(scope))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with closing(bound_socket("127.0.0.1", 0)) as listener:
        listener.listen()
        server = Server(api_config(app, HttpProtocol, None))
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", headers=dict(headers))
            server.should_exit = True
    return seen[0]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_no_header_changes_the_address_of_a_client(name: str) -> None:
    """Not even from this host, where a reverse proxy may pass on what its clients send."""
    assert await address_seen({name: "203.0.113.9"}) == "127.0.0.1"
