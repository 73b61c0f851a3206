"""Every error is a problem document, and nothing is changed by what is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from master.asgi import create_app
from master.db.database import Database
from tests.integration.conftest import Api
from tests.master.dependencies import api_parts

JSON = {"content-type": "application/json"}


def checked(answer: httpx.Response, status: int) -> Any:
    """The problem, when it is a whole one of this status."""
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "detail"} <= set(problem)
    return problem


@pytest.mark.parametrize(
    "path",
    ["/nope", "/proxies/1", "/proxies/0", "/proxies/-1", "/proxies/x", f"/proxies/{2**63}", "/proxies/" + "9" * 5000],
)
async def test_what_is_not_there_is_404(api: Api, path: str):
    checked(await api.http.get(path), 404)


@pytest.mark.parametrize("kind", ["locations", "nodes", "proxies"])
async def test_every_kind_says_what_it_does_not_find(api: Api, kind: str):
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert "99" in checked(await api.http.request(method, f"/{kind}/99", json=body), 404)["detail"]


async def test_a_method_that_is_not_there_is_405_and_says_which_are(api: Api):
    answer = await api.http.put("/proxies/1")
    checked(answer, 405)
    assert {"GET", "PATCH", "DELETE"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"name": "\\ud800"}', b"[" * 5000])
async def test_what_is_no_json_is_400(api: Api, body: bytes):
    checked(await api.http.post("/locations", content=body, headers=JSON), 400)


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
async def test_what_is_not_sent_as_json_is_415(api: Api, headers: dict[str, str]):
    checked(await api.http.post("/locations", content=b'{"name": "a"}', headers=headers), 415)


async def test_a_body_over_one_mebibyte_is_413(api: Api):
    checked(await api.http.post("/locations", content=b" " * 1_048_577, headers=JSON), 413)


@pytest.mark.parametrize("body", ["null", "[]", "5", '"x"'])
async def test_json_that_is_no_object_is_422(api: Api, body: str):
    checked(await api.http.post("/locations", content=body, headers=JSON), 422)


async def test_everything_wrong_is_pointed_at_and_no_secret_is_repeated(api: Api):
    body = {"node_ids": [0, "x"], "password": "hush hush", "labels": {"a/b": 5}, "surprise": 1}
    problem = checked(await api.http.post("/proxies", json=body), 422)
    pointers = {one["pointer"] for one in problem["errors"]}
    assert pointers == {"/node_ids/0", "/node_ids/1", "/password", "/labels/a~1b", "/surprise"}
    assert "hush" not in json.dumps(problem)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=rubbish", "after"),
        ("node_id=-1", "node_id"),
        (f"node_id={2**63}", "node_id"),
        ("protocol=ftp", "protocol"),
        ("label=:x", "label"),
        ("name=%00", "name"),
        ("unknown=1", "unknown"),
        ("q=a&q=b", "q"),
    ],
)
async def test_a_wrong_parameter_is_422_and_named(api: Api, query: str, parameter: str):
    problem = checked(await api.http.get(f"/proxies?{query}"), 422)
    assert problem["errors"][0]["parameter"] == parameter


async def test_nul_characters_are_refused_everywhere(api: Api):
    for body in ({"name": "a\x00"}, {"name": "a", "labels": {"k\x00": "v"}}, {"name": "a", "labels": {"k": "\x00"}}):
        checked(await api.http.post("/locations", json=body), 422)


@pytest.fixture
async def cut() -> AsyncIterator[httpx.AsyncClient]:
    """An API whose database is away, and whose broker state is a bug."""

    def broken() -> str:
        raise RuntimeError("the password is hush")

    database = Database({"host": "127.0.0.1", "port": 1, "user": "x", "password": "x", "database": "x"})
    app = create_app(api_parts(database, broker_state=broken))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://master") as http:
        yield http
    await database.close()


async def test_without_the_database_the_answer_is_503_and_says_when_to_ask_again(cut: httpx.AsyncClient):
    for answer in (await cut.get("/proxies"), await cut.get("/health/ready"), await cut.delete("/nodes/1")):
        checked(answer, 503)
        assert int(answer.headers["retry-after"]) > 0


async def test_without_the_database_the_program_is_alive_and_documented(cut: httpx.AsyncClient):
    assert [(await cut.get(path)).status_code for path in ("/health/live", "/api", "/api-json")] == [200, 200, 200]


async def test_what_nobody_foresaw_is_500_logged_once_and_its_text_is_not_told(api: Api):
    await api.rows.execute("ALTER TABLE events ADD CONSTRAINT hush CHECK (details->>'name' <> 'hush')")
    with capture_logs() as logs:
        answer = await api.http.post("/locations", json={"name": "hush"})
    checked(answer, 500)
    assert [entry["event"] for entry in logs] == ["request.failed", "request.served"]
    assert "hush" not in answer.text + json.dumps(logs)


async def test_without_the_broker_the_master_is_degraded_and_ready(api: Api):
    assert await api.call("GET", "/health/ready", 200) == {"status": "degraded", "database": "up", "broker": "down"}


async def test_head_is_answered_like_get_without_a_body(api: Api):
    got, head = await api.http.get("/health/live"), await api.http.head("/health/live")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_a_user_name_that_no_protocol_carries_is_refused_in_words(api: Api):
    problem = await api.call("POST", "/proxies", 422, json={"node_ids": [1], "username": "a:b"})
    assert problem["errors"] == [
        {
            "pointer": "/username",
            "detail": "must have only letters, digits and !$%&'()+./<=>?@[]^_`{|}~- (no space, colon or comma)",
        }
    ]
