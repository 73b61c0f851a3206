"""Tokens: who may do what, what is refused to whom, and what is stored of it."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from master.schemas.token_format import new_token, token_hash
from tests.integration.conftest import Api

ADMIN: Mapping[str, Any] = {"name": "admin", "scopes": ["admin"]}
PASSWORD = "correct-horse-battery"


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


async def created(api: Api, *, by: str | None = None, **body: Any) -> str:
    """The text of a new token."""
    headers = bearer(by) if by is not None else {}
    return (await api.call("POST", "/tokens", 201, json={"name": "shop", "scopes": ["read"], **body}, headers=headers))[
        "token"
    ]


@pytest.fixture
async def admin(api: Api) -> str:
    """The first admin token, which closes the API."""
    return await created(api, **ADMIN)


async def refused(api: Api, status: int, headers: Mapping[str, str] | None = None, path: str = "/locations") -> Any:
    """The problem of a GET."""
    return await api.call("GET", path, status, headers=headers or {})


async def test_the_api_is_open_until_the_first_admin_token_exists(api: Api) -> None:
    await created(api, scopes=["read", "write"])
    assert (await api.call("GET", "/system", 200))["authorization"] == "open"
    token = await created(api, **ADMIN)
    await refused(api, 401)
    assert (await api.call("GET", "/system", 200, headers=bearer(token)))["authorization"] == "tokens"


async def test_a_token_is_shown_once_and_only_its_hash_is_stored(api: Api, admin: str) -> None:
    shown = await api.call("GET", "/tokens", 200, headers=bearer(admin))
    assert ("token" not in shown["items"][0], admin in str(shown)) == (True, False)
    stored = await api.rows.fetchrow("SELECT to_jsonb(t)::text AS row, hash FROM tokens t")
    assert (admin in stored["row"], stored["hash"]) == (False, token_hash(admin))
    events = await api.rows.fetchval("SELECT string_agg(details::text, '') FROM events")
    assert (admin in events, token_hash(admin) in events) == (False, False)


@pytest.mark.parametrize("path", ["/proxies", "/proxies/1", "/nope", "/tokens", "/metrics", "/health/report"])
async def test_without_a_token_every_path_answers_401(api: Api, admin: str, path: str) -> None:
    answer = await api.http.get(path)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="maybe-proxy"'


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/", "/api", "/api-json"])
async def test_what_is_free_needs_no_token(api: Api, admin: str, path: str) -> None:
    assert (await api.http.get(path)).status_code == 200
    assert (await api.http.get(path, headers=bearer("mp_wrong"))).status_code == 200


async def test_a_link_needs_no_token(api: Api, admin: str) -> None:
    link = await api.call("POST", "/links", 201, json={"kind": "list"}, headers=bearer(admin))
    assert (await api.http.get(link["path"])).status_code == 200
    assert (await api.http.get("/l/wrong")).status_code == 404


async def test_a_refused_request_has_its_body_unread(api: Api, admin: str) -> None:
    async def body() -> Any:
        raise AssertionError("the body was read")
        yield b""

    answer = await api.http.post("/locations", content=body(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Basic dXNlcjpwYXNz", "needs a token"),
        ("Bearer", "begins with mp_"),
        ("Bearer sesame", "begins with mp_"),
        ("Bearer mp_short", "has 39 characters"),
        ("Bearer mp_" + "\u00e9" * 36, "letters and digits"),
        ("Bearer mp_258zY2SWR86rmGpAtwqN0QpAQ9RvQj2do7ak", "mistyped"),
        ("bearer mp_258zY2SWR86rmGpAtwqN0QpAQ9RvQj2do7aj", "no such token"),
    ],
)
async def test_what_is_no_token_is_refused_with_the_reason(api: Api, admin: str, header: str, words: str) -> None:
    answer = await api.http.get("/locations", headers=[(b"Authorization", header.encode("latin-1"))])
    assert (answer.status_code, words in answer.json()["detail"]) == (401, True), answer.text


async def test_a_mistyped_token_is_noticed_without_the_database(api: Api, admin: str) -> None:
    await api.rows.execute("ALTER TABLE tokens RENAME TO tokens_elsewhere")
    try:
        assert (
            "mistyped" in (await refused(api, 401, bearer(admin[:-1] + ("A" if admin[-1] != "A" else "B"))))["detail"]
        )
    finally:
        await api.rows.execute("ALTER TABLE tokens_elsewhere RENAME TO tokens")


async def test_two_authorization_fields_are_refused(api: Api, admin: str) -> None:
    fields = [("Authorization", f"Bearer {admin}"), ("Authorization", f"Bearer {admin}")]
    assert (await api.http.get("/locations", headers=httpx.Headers(fields))).status_code == 401


async def test_a_wrong_token_is_refused_by_an_open_api_too(api: Api) -> None:
    await refused(api, 200)
    await refused(api, 401, bearer(new_token()))
    await refused(api, 200, {"Authorization": "Basic dXNlcjpwYXNz"})


async def test_a_token_may_do_what_its_scopes_allow_and_is_told_which_is_missing(api: Api, admin: str) -> None:
    reader = await created(api, by=admin)
    await refused(api, 200, bearer(reader))
    problem = await api.call("POST", "/locations", 403, json={"name": "there"}, headers=bearer(reader))
    assert (problem["type"], problem["scopes"]) == ("/problems/forbidden", ["write"])
    assert await api.rows.fetchval("SELECT count(*) FROM locations") == 0


async def test_a_token_with_every_scope_but_admin_cannot_make_itself_more(api: Api, admin: str) -> None:
    scopes = ["read", "secrets", "write", "rotate", "check", "enrol", "upgrade", "metrics"]
    token = await created(api, by=admin, scopes=scopes)
    for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("PATCH", "/tokens/1"), ("DELETE", "/tokens/1")):
        body = {} if method in ("GET", "DELETE") else {"json": {**ADMIN}}
        assert (await api.call(method, path, 403, headers=bearer(token), **body))["scopes"] == ["admin"]


async def test_a_revoked_token_is_refused_and_the_others_are_not(api: Api, admin: str) -> None:
    token = await created(api, by=admin)
    await refused(api, 200, bearer(token))
    id_ = (await api.call("GET", "/tokens/current", 200, headers=bearer(token)))["id"]
    await api.call("DELETE", f"/tokens/{id_}", 204, headers=bearer(admin))
    assert "revoked" in (await refused(api, 401, bearer(token)))["detail"]
    await refused(api, 200, bearer(admin))


async def test_an_expired_token_is_refused_and_does_not_open_the_api(api: Api, admin: str) -> None:
    await api.rows.execute("UPDATE tokens SET expires_at = now() - interval '1 second'")
    assert "expired" in (await refused(api, 401, bearer(admin)))["detail"]
    await refused(api, 401)


@pytest.mark.parametrize(("networks", "status"), [(["127.0.0.0/8"], 200), (["203.0.113.9", "2001:db8::/32"], 403)])
async def test_a_token_is_accepted_from_its_addresses_alone(
    api: Api, admin: str, networks: list[str], status: int
) -> None:
    token = await created(api, by=admin, allow_ips=networks)
    await refused(api, status, bearer(token))


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
async def test_a_header_does_not_change_the_address_of_a_client(api: Api, admin: str, header: str) -> None:
    token = await created(api, by=admin, allow_ips=["203.0.113.9"])
    problem = await refused(api, 403, {**bearer(token), header: "203.0.113.9"})
    assert problem["detail"] == "the token is not accepted from 127.0.0.1"


async def test_the_last_use_is_written_once_a_minute(api: Api, admin: str) -> None:
    token = await created(api, by=admin)
    id_ = (await api.call("GET", "/tokens/current", 200, headers=bearer(token)))["id"]
    used = await api.call("GET", f"/tokens/{id_}", 200, headers=bearer(admin))
    assert (used["last_used_ip"], used["last_used_at"] is not None) == ("127.0.0.1", True)
    before = await api.rows.fetchval("SELECT xmin FROM tokens WHERE id = $1", id_)
    await api.call("PATCH", f"/tokens/{id_}", 200, json={"expires_at": None}, headers=bearer(admin))
    between = await api.rows.fetchval("SELECT xmin FROM tokens WHERE id = $1", id_)
    await refused(api, 200, bearer(token))
    assert before != between == await api.rows.fetchval("SELECT xmin FROM tokens WHERE id = $1", id_)


async def test_a_refused_token_has_no_last_use(api: Api, admin: str) -> None:
    token = await created(api, by=admin, allow_ips=["203.0.113.9"])
    await refused(api, 403, bearer(token))
    assert await api.rows.fetchval("SELECT last_used_at FROM tokens WHERE name = 'shop'") is None


async def test_events_name_the_token_that_caused_them(api: Api, admin: str) -> None:
    writer = await created(api, by=admin, name="automat 1", scopes=["write"])
    await api.call("POST", "/locations", 201, json={"name": "there"}, headers=bearer(writer))
    events = (await api.call("GET", "/events", 200, headers=bearer(admin)))["items"]
    assert [(one["type"], one["actor"]) for one in events] == [
        ("token.created", "api"),
        ("token.created", "token admin"),
        ("location.created", "token automat 1"),
    ]
    assert (await api.rows.fetch("SELECT created_by FROM tokens ORDER BY id"))[1]["created_by"] == "token admin"


async def test_the_last_admin_token_is_not_revoked_by_accident(api: Api, admin: str) -> None:
    headers = bearer(admin)
    problem = await api.call("DELETE", "/tokens/1", 409, headers=headers)
    assert (problem["type"], problem["token_id"]) == ("/problems/last-admin-token", 1)
    await api.call("POST", "/tokens", 201, json={**ADMIN, "name": "second"}, headers=headers)
    await api.rows.execute("UPDATE tokens SET expires_at = now() - interval '1 day' WHERE name = 'second'")
    await api.call("DELETE", "/tokens/1", 409, headers=headers)
    await api.rows.execute("UPDATE tokens SET expires_at = NULL WHERE name = 'second'")
    await api.call("DELETE", "/tokens/1", 204, headers=headers)


async def test_a_token_without_secrets_sees_no_password_anywhere(api: Api, admin: str) -> None:
    node = await api.node(location_id=await api.rows.fetchval("INSERT INTO locations (name) VALUES ('x') RETURNING id"))
    wish = {"node_ids": [node], "username": "somebody", "password": PASSWORD}
    proxy = await api.call("POST", "/proxies", 201, json=wish, headers=bearer(admin))
    template = {"username": "shared", "password": PASSWORD, "node_ids": [node]}
    stack = {"name": "s", "count": 1, "proxy": template}
    await api.call("POST", "/stacks", 201, json=stack, headers=bearer(admin))
    assert PASSWORD in (await api.http.get("/proxies", headers=bearer(admin))).text
    reader = await created(api, by=admin, scopes=["read", "write", "rotate", "check"])
    for path in ("/proxies", f"/proxies/{proxy['id']}", "/stacks", "/stacks/1", "/stacks/by-name/s", "/events"):
        answer = await api.http.get(path, headers=bearer(reader))
        assert (answer.status_code, PASSWORD in answer.text) == (200, False), answer.text
    seen = await api.call("GET", f"/proxies/{proxy['id']}?secrets=yes", 200, headers=bearer(reader))
    assert (seen["username"], seen["password"], seen["urls"]) == ("somebody", None, None)


async def test_writes_of_a_token_without_secrets_answer_without_passwords(api: Api, admin: str) -> None:
    node = await api.node()
    headers = bearer(await created(api, by=admin, scopes=["write"]))
    key = {**headers, "Idempotency-Key": "k"}
    wish = {"node_ids": [node], "username": "somebody", "password": PASSWORD}
    first = await api.http.post("/proxies", json=wish, headers=key)
    second = await api.http.post("/proxies", json=wish, headers=key)
    changed = await api.http.patch(f"/proxies/{first.json()['id']}", json={"password": PASSWORD + "2"}, headers=headers)
    put = {"count": 1, "proxy": {"username": "shared", "password": PASSWORD, "node_ids": [node]}}
    stack = await api.http.put("/stacks/by-name/s", json=put, headers=headers)
    claimed = await api.http.post("/proxies/claim", json={"count": 1, "labels": {"customer": "7"}}, headers=headers)
    answers = [first, second, changed, stack, claimed]
    assert [one.status_code for one in answers] == [201, 201, 200, 201, 200], claimed.text
    assert [PASSWORD in one.text for one in answers] == [False] * 5


@pytest.mark.parametrize("path", ["/proxies/export", "/proxies/export?format=csv", "/proxies/export?template={id}"])
async def test_a_token_without_secrets_cannot_export(api: Api, admin: str, path: str) -> None:
    reader = await created(api, by=admin)
    assert (await refused(api, 403, bearer(reader), path))["scopes"] == ["secrets"]


async def test_a_token_without_secrets_cannot_make_links(api: Api, admin: str) -> None:
    """A link that lists proxies shows their passwords."""
    writer = await created(api, by=admin, scopes=["read", "write"])
    problem = await api.call("POST", "/links", 403, json={"kind": "list"}, headers=bearer(writer))
    assert problem["scopes"] == ["secrets"]


async def test_an_answer_is_repeated_to_the_token_that_got_it_alone(api: Api, admin: str) -> None:
    writer = await created(api, by=admin, scopes=["write"])
    first = await api.http.post("/locations", json={"name": "a"}, headers={**bearer(admin), "Idempotency-Key": "k"})
    other = await api.http.post("/locations", json={"name": "b"}, headers={**bearer(writer), "Idempotency-Key": "k"})
    again = await api.http.post("/locations", json={"name": "b"}, headers={**bearer(writer), "Idempotency-Key": "k"})
    assert [one.status_code for one in (first, other, again)] == [201, 201, 201]
    assert (other.json()["name"], "idempotency-replayed" in other.headers) == ("b", False)
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["root"]}, "/scopes/0"),
        ({"name": "API_TOKEN"}, "/name"),
        ({"allow_ips": ["nowhere"]}, "/allow_ips/0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"filter": {}}, "/filter"),
        ({"filter": {"label": "customer"}}, "/filter/label"),
        ({"filter": {"stack": 1, "location": 1}}, "/filter"),
        ({"filter": {"stack": 1}, "scopes": ["read", "admin"]}, ""),
    ],
)
async def test_an_impossible_token_is_refused_with_its_place(api: Api, body: dict[str, Any], pointer: str) -> None:
    problem = await api.call("POST", "/tokens", 422, json={"name": "t", "scopes": ["read"], **body})
    assert [one["pointer"] for one in problem["errors"]] == [pointer]


async def test_names_are_unique(api: Api) -> None:
    await created(api)
    await api.call("POST", "/tokens", 409, json={"name": "shop", "scopes": ["read"]})
    await created(api, name="other")
    other = (await api.call("GET", "/tokens?sort=-id", 200))["items"][0]["id"]
    await api.call("PATCH", f"/tokens/{other}", 409, json={"name": "shop"})


async def test_a_change_is_heeded_and_recorded(api: Api, admin: str) -> None:
    token = await created(api, by=admin)
    change = {"name": "store", "allow_ips": ["203.0.113.9"]}
    changed = await api.call("PATCH", "/tokens/2", 200, json=change, headers=bearer(admin))
    assert (changed["name"], changed["allow_ips"], changed["scopes"]) == ("store", ["203.0.113.9/32"], ["read"])
    await refused(api, 403, bearer(token))
    events = (await api.call("GET", "/events?type=token.*", 200, headers=bearer(admin)))["items"]
    assert (events[-1]["type"], events[-1]["details"]["name"]) == ("token.updated", "store")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_token_is_404(api: Api, method: str) -> None:
    await api.call(method, "/tokens/99", 404, **({"json": {}} if method == "PATCH" else {}))


async def test_failed_tries_are_counted_and_logged_once_in_a_while(api: Api, admin: str) -> None:
    with capture_logs() as logs:
        for _ in range(50):
            await refused(api, 401, bearer(new_token()))
        await refused(api, 401)
    lines = [one for one in logs if one["event"] == "request.unauthenticated"]
    assert [(one["reason"], one["address"]) for one in lines] == [("unknown", "127.0.0.1")]
    metrics = (await api.http.get("/metrics", headers=bearer(admin))).text
    assert 'maybe_api_authentication_failures_total{reason="unknown"} 50' in metrics
    assert "maybe_api_open 0" in metrics


async def test_no_token_is_logged(api: Api, admin: str) -> None:
    with capture_logs() as logs:
        await api.call("POST", "/locations", 201, json={"name": "there"}, headers=bearer(admin))
        await refused(api, 401, bearer(new_token()))
    assert "mp_" not in str(logs)


async def test_who_asks_is_shown_its_own_token(api: Api) -> None:
    assert await api.call("GET", "/tokens/current", 200) == {
        "id": None,
        "name": None,
        "scopes": ["admin"],
        "filter": None,
    }
    token = await created(api, scopes=["rotate", "read"])
    shown = await api.call("GET", "/tokens/current", 200, headers=bearer(token))
    assert (shown["name"], shown["scopes"]) == ("shop", ["read", "rotate"])
