"""The API keeps its own document: defaults and examples are taken, and every answer is one that is described.

The client of these tests holds each answer against the document (see `tests.openapi.conformance`).
"""

from typing import Any

import pytest

from tests.integration.conftest import Api
from tests.openapi.operations import Operation, operations, requests

ALL = {operation.id: operation for operation in operations()}
AT_ODDS = (
    *("create_location", "remove_location", "remove_node", "claim_proxies", "start_upgrade", "install_license"),
    *("move_broker", "finish_move", "abort_move"),
)
"""With what there is in this world, which has the names of the examples, no bundles, no key that signs licences, and a
broker that stays where it is."""
SHORTENED = ("install_license", "move_broker")
"""Their examples cannot be a licence and certificates."""
FLEETS = ("change_proxies", "remove_proxies", "rotate_proxies", "check_proxies")
DOCUMENTATION = {
    "/api": "text/html; charset=utf-8",
    "/api-json": "application/json",
    "/": "text/html; charset=utf-8",
}


async def world(api: Api) -> dict[str, Any]:
    """One of everything under the id 1; values for parameters that must be given."""
    for name in ("Frankfurt", "Berlin"):
        await api.call("POST", "/locations", 201, json={"name": name})
    for number in (1, 2):
        await api.node(ip=f"127.0.0.{number}", location_id=1)
    await api.call("POST", "/stacks", 201, json={"name": "store", "count": 23, "proxy": {"location_id": 1}})
    await api.proxy(1, name="mine")
    await api.rows.execute(
        "INSERT INTO webhooks (url, secret, position) VALUES ('http://127.0.0.1:9/', 'whsec_c2VjcmV0', 0)"
    )
    await api.call("POST", "/invitations", 201, json={"uses": 3})
    await api.call("POST", "/tokens", 201, json={"name": "reader", "scopes": ["read"]})
    await api.rows.execute(
        "INSERT INTO upgrades (version, sha256, min_upgradable_from, base_url, filter, canary, batch, batch_size,"
        " soak_s, most_failed, downgrade, actor)"
        " VALUES ('9.9.9', '', '0.1.0', 'http://127.0.0.1', '{}', 1, '1', 1, 1, 0, false, 'api')"
    )
    link = await api.call("POST", "/links", 201, json={"kind": "list"})
    await api.proxy(2)
    await api.call("POST", "/proxies/25/rotate", 202, json={"what": ["port"]})
    kinds = ("location", "node", "proxy", "stack", "webhook", "link", "rotation", "invitation", "upgrade", "token")
    ids = {f"{kind}_id": 1 for kind in kinds}
    return {
        **ids,
        "name": "store",
        "secret": link["path"].removeprefix("/l/"),
        "ip": "127.0.0.1",
        "expect": 1,
        "q": "mine",
    }


def known_of(operation: Operation, values: dict[str, Any]) -> dict[str, Any]:
    """A change of many concerns one that nothing else touches."""
    return {**values, "filter": {"name": "mine"}} if operation.id in FLEETS else values


@pytest.mark.parametrize("name", list(ALL))
async def test_every_documented_default_and_example_is_taken_when_it_is_sent(api: Api, name: str):
    operation = ALL[name]
    values = known_of(operation, await world(api))
    refused = list[str]()
    for number, asked in enumerate(requests(operation, values)):
        more = {"json": asked.body} if asked.body is not None else {}
        answer = await api.http.request(
            operation.method, asked.path, params=dict(asked.query), headers=dict(asked.headers), **more
        )
        assert number > 0 or answer.status_code < 400 or name in AT_ODDS, (asked, answer.text)
        assert answer.status_code < 500, (asked, answer.text)
        if answer.status_code in (400, 415, 422) and name not in SHORTENED:
            refused.append(f"{asked.says}: {answer.text}")
    assert refused == []


async def test_every_route_answers_head_with_the_content_type_of_get(api: Api):
    values = await world(api)
    for operation in (one for one in ALL.values() if one.method == "GET" and one.id != "use_link"):
        [asked, *_] = requests(operation, values)
        got = await api.http.get(asked.path, params=dict(asked.query))
        head = await api.http.head(asked.path, params=dict(asked.query))
        kinds = (got.headers["content-type"], head.headers["content-type"])
        assert (head.status_code, kinds[1]) == (got.status_code, kinds[0]), asked


@pytest.mark.parametrize("path", list(DOCUMENTATION))
async def test_the_documentation_says_its_charset_once(api: Api, path: str):
    assert (await api.http.get(path)).headers["content-type"] == DOCUMENTATION[path]


async def test_a_body_that_cannot_be_read_is_refused_as_described(api: Api):
    values = await world(api)
    sent = [(b"{", "application/json", 400), (b" " * 1_048_577, "application/json", 413)]
    sent += [(b"{}", "text/plain", 415), (b'{"nosuch": 1}', "application/json", 422)]
    for operation in (one for one in ALL.values() if one.body is not None):
        [asked, *_] = requests(operation, known_of(operation, values))
        for content, kind, status in sent:
            answer = await api.http.request(
                operation.method, asked.path, params=dict(asked.query), content=content, headers={"content-type": kind}
            )
            assert answer.status_code == status, (asked, answer.text)


async def refuses_the_unknown(api: Api, operation: Operation, values: dict[str, Any]) -> None:
    """Raises AssertionError when a parameter, a host, an origin or an id that nothing knows is taken."""
    [asked, *_] = requests(operation, known_of(operation, values))
    more = {"json": asked.body} if asked.body is not None else {}
    query = {**asked.query, "nosuch": "1"}
    answer = await api.http.request(operation.method, asked.path, params=query, **more)
    tolerant = answer.request.url.path.startswith(("/l/", "/metrics", "/health/"))
    assert answer.status_code == 422 or (tolerant and answer.status_code < 300), answer.text
    answer = await api.http.request(operation.method, asked.path, headers={"host": "evil.example.com"}, **more)
    assert (answer.status_code, answer.json()["type"]) == (421, "/problems/unknown-host")
    if operation.method != "GET":
        answer = await api.http.request(operation.method, asked.path, headers={"origin": "http://evil.org"}, **more)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/foreign-origin")
    if "{" in operation.path and operation.id != "put_stack":
        path = operation.path.format_map(dict.fromkeys(values, 99))
        answer = await api.http.request(operation.method, path, params=dict(asked.query), **more)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_what_no_operation_knows_is_refused_as_described(api: Api):
    values = await world(api)
    for operation in ALL.values():
        await refuses_the_unknown(api, operation, values)
