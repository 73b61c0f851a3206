"""A request means one thing: nothing is guessed out of a wrong type, and no odd text reaches the database."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from master.api.openapi import pages
from master.asgi import create_app
from master.db.database import Database
from tests.integration.conftest import Api
from tests.master.dependencies import api_parts

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"name": "a", "name": "b"}', 422),
        ('{"name": "a", "labels": {"k": "1", "k": "2"}}', 422),
        ('{"name": "a", "n\\u0061me": "b"}', 422),
        ('{"name": NaN}', 400),
        ('{"name": "a", "labels": {"k": Infinity}}', 400),
        ('{"name": "a",}', 400),
        ("{name: 'a'}", 400),
        ('{"name": "a"} {}', 400),
        ('\ufeff{"name": "a"}', 400),
        ("", 400),
        ("  \n", 400),
        ("[" * 100_000, 400),
        ('{"a":' * 100_000, 400),
        ('{"name": "\\ud800"}', 400),
        ('{"name": "a\\u0000"}', 422),
        ('{"name": 1}', 422),
        ('{"name": "a", "country": null, "labels": null}', 422),
    ],
)
async def test_a_body_that_means_two_things_or_none_is_refused(api: Api, body: str, status: int):
    answer = await api.http.post("/locations", content=body.encode(), headers=JSON)
    assert answer.status_code == status, answer.text
    assert await api.rows.fetchval("SELECT count(*) FROM locations") == 0


@pytest.mark.parametrize("body", ['{"name": "a"}'.encode("utf-16"), '{"name": "ä"}'.encode("latin-1")])
async def test_a_body_is_utf_8(api: Api, body: bytes):
    assert (await api.http.post("/locations", content=body, headers=JSON)).status_code == 400


async def test_an_error_in_json_is_said_to_be_where_it_is(api: Api):
    answer = await api.http.post("/locations", content=b'{"name":\n hush}', headers=JSON)
    assert answer.json()["detail"] == "the body is not JSON: Expecting value at line 2 column 2"


@pytest.mark.parametrize("number", ['"1"', "true", "1.0", "1e0", "null", "[1]", "-1", "0", str(2**63), "9" * 4000])
async def test_an_id_in_a_body_is_a_whole_number_of_its_range(api: Api, number: str):
    await api.node()
    for member in (f'"node_ids": [{number}]', f'"location_id": {number}'):
        answer = await api.http.post("/proxies", content=f"{{{member}}}".encode(), headers=JSON)
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("flag", ["1", "0", '"true"', '"yes"', "null", "[]"])
async def test_a_flag_in_a_body_is_true_or_false(api: Api, flag: str):
    body = f'{{"node_ids": [{await api.node()}], "enabled": {flag}}}'
    assert (await api.http.post("/proxies", content=body.encode(), headers=JSON)).status_code == 422


@pytest.mark.parametrize(
    "wrong", [{"location_id": "1"}, {"enabled": "yes"}, {"port": 1.0}, {"label": ":b"}, {"label": ["\x00:b"]}]
)
async def test_the_filter_of_a_link_is_as_strict_as_any_body(api: Api, wrong: dict[str, Any]):
    await api.call("POST", "/links", 422, json={"kind": "list", "filter": wrong})


@pytest.mark.parametrize("number", ["1_0", "+5", "%205", "5%20", "05", "5.0", "5e0", "0x5", "%D9%A5", "", "-0", "5%00"])
async def test_a_number_in_a_query_has_one_spelling(api: Api, number: str):
    for parameter in ("limit", "node_id", "port"):
        assert (await api.call("GET", f"/proxies?{parameter}={number}", 422))["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize("flag", ["1", "0", "on", "yes", "True", "t", "", "%20true"])
async def test_a_flag_in_a_query_has_one_spelling(api: Api, flag: str):
    await api.proxy(await api.node())
    await api.call("GET", f"/proxies?enabled={flag}", 422)
    await api.call("DELETE", f"/proxies/1?dry_run={flag}", 422)
    await api.call("DELETE", f"/proxies?all={flag}&expect=1", 422)
    await api.call("GET", "/proxies/1", 200)


@pytest.mark.parametrize(
    "query",
    [
        "limit=1&limit=2",
        "limit=1&limit=1",
        "q=a&q=",
        "name=%FF",
        "name=%ED%A0%80",
        "name=%zz",
        "name=%C0%80",
        "%00=1",
        "a%00=1",
    ],
)
async def test_a_query_that_means_two_things_or_none_is_refused(api: Api, query: str):
    await api.call("GET", f"/proxies?{query}", 422)


async def test_only_what_a_range_says_is_a_key(api: Api):
    for key in ("", "a\tb", "ä", "x" * 256):
        headers = [(b"idempotency-key", key.encode("latin-1"))]
        answer = await api.http.post("/locations", json={"name": "a"}, headers=headers)
        assert answer.status_code == 422, key


def texts(schema: dict[str, Any], schemas: dict[str, Any], seen: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each text in a body, lists as 0 and free names as a."""
    for one in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        name = one.get("$ref", "").rpartition("/")[2]
        if name and name not in seen:
            yield from texts(schemas[name], schemas, (*seen, name))
        if one.get("type") == "string" and "enum" not in one:
            yield ()
        for member, inner in one.get("properties", {}).items():
            yield from ((member, *path) for path in texts(inner, schemas, seen))
        if isinstance(one.get("items"), dict):
            yield from ((0, *path) for path in texts(one["items"], schemas, seen))
        if isinstance(one.get("additionalProperties"), dict) or "patternProperties" in one:
            yield ("a",)


def with_text(path: tuple[Any, ...], text: str) -> Any:
    """A body that has this text there, and as a free name."""
    if not path:
        return text
    step, *rest = path
    inner = with_text(tuple(rest), text)
    return [inner] if step == 0 else {text: text} if step == "a" else {step: inner}


async def test_no_text_with_a_nul_or_a_line_break_is_taken_by_any_body(api: Api):
    await api.proxy(await api.node(location_id=await api.location()))
    await api.call("POST", "/stacks", 201, json={"name": "shop", "count": 1, "proxy": {"node_ids": [1]}})
    document = json.loads(pages.document_of(create_app(api_parts(Database({})))))
    tried = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            for place in texts(schema, document["components"]["schemas"]):
                for text in ("\x00", "a\x00b", "a\nb", "a\x85b"):
                    there = path.replace("{name}", "shop").replace("{secret}", "x")
                    for name in ("proxy_id", "node_id", "location_id", "stack_id", "link_id", "webhook_id"):
                        there = there.replace(f"{{{name}}}", "1")
                    answer = await api.http.request(method, there, json=with_text(place, text))
                    assert 400 <= answer.status_code < 500, (method, path, place, text, answer.text)
                    tried += 1
    assert tried > 300


async def test_thousands_of_unknown_fields_are_answered_quickly_and_briefly(api: Api):
    body = {f"a{number}{'x' * 80}": 1 for number in range(8_000)}
    problem = await api.call("POST", "/proxies", 422, json=body)
    assert len(problem["errors"]) == 50
    query = "&".join(f"a{number}=1" for number in range(5_000))
    assert len((await api.call("GET", f"/proxies?{query}", 422))["errors"]) == 50
