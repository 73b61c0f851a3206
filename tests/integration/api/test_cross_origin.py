"""What a browser may do with the API, over a real connection: nothing behind its operator's back."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import uvicorn

from master.api.http_protocol import HttpProtocol
from master.asgi import create_app
from master.db.database import Database
from master.domain.events.stream import EventStream
from master.domain.webhooks.delivery import DeliveryRunner
from shared.http_server import Server, bound_socket
from tests.integration.conftest import Enroller, Syncer
from tests.master.dependencies import api_parts
from tests.services.postgres import Database as Address

SAFETY = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
ALONE = "default-src 'none'; frame-ancestors 'none'"


@dataclass
class Site:
    """The API at a port, as a browser or a raw client sees it."""

    port: int
    syncer: Syncer

    async def say(self, data: bytes) -> tuple[int, dict[str, list[str]], bytes]:
        """(status, headers, what has come of the body) of the answer to these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(10):
                writer.write(data)
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                body = await reader.read(100_000)
        finally:
            writer.transport.abort()
        headers: dict[str, list[str]] = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        return int(lines[0].split()[1]), headers, body

    async def ask(self, method: str, target: str, **headers: str) -> tuple[int, dict[str, list[str]], bytes]:
        """With a Host of its own, unless one is given."""
        given = {"Host": f"127.0.0.1:{self.port}", "Connection": "close", "Content-Length": "0"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        fields = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return await self.say(f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode())


@pytest.fixture
async def site(database: Address) -> AsyncIterator[Site]:
    """Known as api.example.com, and publishing links elsewhere."""
    rows, syncer = Database(database.connect), Syncer()
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ('n', '10.0.0.1', 'c', 'h')"
        )
    feed = EventStream(rows)
    parts = {
        "enroller": Enroller(),
        "syncer": syncer,
        "event_stream": feed,
        "deliveries": DeliveryRunner(rows, allow_private=False),
    }
    own = {"own_hosts": frozenset({"api.example.com"}), "public_url": "https://links.example.com/p"}
    listener = bound_socket("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(api_parts(rows, **parts, **own)), http=HttpProtocol, ws="none", log_config=None, lifespan="off"
    )
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(feed.run())
        serving = group.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield Site(listener.getsockname()[1], syncer)
        server.should_exit = True
        feed.close()
        await serving
        following.cancel()
    await rows.close()


REQUESTS = {
    "a list": b"GET /proxies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "HEAD": b"HEAD /proxies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "an export": b"GET /proxies/export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "metrics": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a link": b"GET /l/abc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "HEAD of a link": b"HEAD /l/abc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "nothing there": b"GET /nope HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "another spelling": b"GET //proxies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "no such method": b"PUT /proxies/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "no JSON": b"POST /links HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "foreign host": b"GET /proxies HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "foreign origin": b"DELETE / HTTP/1.1\r\nHost: a\r\nOrigin: null\r\nConnection: close\r\n\r\n",
    "OPTIONS": b"OPTIONS /proxies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "no HTTP": b"what?\r\n\r\n",
    "no Host": b"GET /proxies HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /proxies HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
}


@pytest.mark.parametrize("request_", REQUESTS)
async def test_every_answer_tells_browsers_not_to_guess_frame_or_refer(site: Site, request_: str):
    status, headers, _ = await site.say(REQUESTS[request_])
    assert {name: headers.get(name) for name in SAFETY} == {name: [value] for name, value in SAFETY.items()}, status
    assert headers["content-security-policy"] == [ALONE]


async def test_a_stream_tells_it_too(site: Site):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    assert b"text/event-stream" in head
    assert b"x-content-type-options: nosniff" in head


@pytest.mark.parametrize("request_", ["no HTTP", "no Host", "two Hosts", "two lengths"])
async def test_what_is_no_http_is_a_problem_document_as_well(site: Site, request_: str):
    status, headers, body = await site.say(REQUESTS[request_])
    assert (status, headers["content-type"], headers["connection"]) == (400, ["application/problem+json"], ["close"])
    assert b'"status": 400' in body


async def test_the_pages_may_run_their_own_scripts_and_be_framed_by_nobody(site: Site):
    for path in ("/", "/api"):
        _, headers, page = await site.ask("GET", path)
        [policy] = headers["content-security-policy"]
        wanted = {
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        }
        assert wanted <= set(policy.split("; "))
        assert b"<script>" not in page


async def test_a_page_that_rebinds_its_name_reads_and_writes_nothing(site: Site):
    evil = {"Host": f"evil.example:{site.port}", "Origin": "http://evil.example"}
    for method, path in (("GET", "/proxies"), ("POST", "/nodes/1/sync"), ("DELETE", "/proxies/1"), ("GET", "/l/abc")):
        status, _, body = await site.ask(method, path, **evil)
        assert (status, json.loads(body)["setting"]) == (421, "API_HOSTS")
    assert site.syncer.checks == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
@pytest.mark.parametrize("path", ["/nodes/1/sync", "/locations/1/rebalance", "/webhooks/1/test"])
async def test_an_empty_post_of_a_foreign_page_does_nothing(
    site: Site, path: str, headers: dict[str, str], status: int
):
    assert (await site.ask("POST", path, **headers))[0] == status
    assert site.syncer.checks == []


async def test_an_empty_post_of_a_program_is_done(site: Site):
    assert (await site.ask("POST", "/nodes/1/sync"))[0] == 202
    assert (await site.ask("POST", "/nodes/1/sync", Content_Type="application/json"))[0] == 202
    assert len(site.syncer.checks) == 2


async def test_a_name_of_the_operator_s_is_known(site: Site):
    own = {"Host": "api.example.com", "Origin": "https://api.example.com"}
    assert (await site.ask("POST", "/nodes/1/sync", **own))[0] == 202
    assert (await site.ask("GET", "/proxies", Host="other.example.com", X_Forwarded_Host="api.example.com"))[0] == 421


async def test_the_authority_of_an_absolute_target_counts_and_not_the_host_field(site: Site):
    assert (await site.ask("GET", "http://localhost/proxies", Host="evil.example"))[0] == 200
    assert (await site.ask("GET", "http://evil.example/proxies", Host="localhost"))[0] == 421
    assert (await site.ask("GET", "http://localhost//proxies"))[0] == 404


async def test_http_1_0_needs_no_host(site: Site):
    assert (await site.say(b"GET /health/live HTTP/1.0\r\n\r\n"))[0] == 200


async def test_there_is_no_websocket(site: Site):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    assert (await site.ask("GET", "/health/live", **upgrade, Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=="))[0] == 200


async def test_links_lead_where_the_operator_says(site: Site):
    body = b'{"kind": "list"}'
    fields = f"Host: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    status, _, answer = await site.say(f"POST /links HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
    made = json.loads(answer)
    assert (status, made["url"]) == (201, f"https://links.example.com/p{made['path']}")


@pytest.mark.parametrize(
    "path", ["/./proxies", "/nodes/../proxies", "/proxies/.", "/stacks/by-name/./shop", "/proxies/1#a"]
)
async def test_a_path_with_dots_or_a_fragment_leads_nowhere(site: Site, path: str):
    assert (await site.ask("GET", path))[0] == 404
