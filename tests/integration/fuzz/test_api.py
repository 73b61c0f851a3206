"""Requests that nobody thought of, made out of the API's own document, against a real database."""

import json
from contextlib import suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.integration.conftest import Api
from tests.integration.fuzz.conftest import CHECKS, PROFILE, bearer

EXAMPLES, MANY_EXAMPLES = 4, 1000
"""Of each operation and mode; the many are for ./dev test --long."""


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_fails_the_master_and_every_answer_is_as_told(
    base_url: str, document: dict[str, Any], mode: GenerationMode
):
    fuzzed(base_url, document, mode, EXAMPLES)


@pytest.mark.long
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_of_many_fails_the_master_and_every_answer_is_as_told(
    base_url: str, document: dict[str, Any], mode: GenerationMode
):
    fuzzed(base_url, document, mode, MANY_EXAMPLES)


def fuzzed(base_url: str, document: dict[str, Any], mode: GenerationMode, examples: int) -> None:
    """Raises what the first wrong answers of each operation are."""
    wrong: list[Exception] = []
    with requests.Session() as session:
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            try:
                tried(found.ok(), session, base_url, mode, examples)
            except Exception as error:  # noqa: BLE001 (told together)
                wrong.append(error)
    if wrong:
        raise ExceptionGroup("not as told", wrong)


def tried(operation: Any, session: requests.Session, base_url: str, mode: GenerationMode, examples: int) -> None:
    """One route and method."""

    @settings(**PROFILE, max_examples=examples)
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from([None, 1, 2]))
    def ask(case: Any, id_: int | None) -> None:
        if id_ is not None and mode is GenerationMode.POSITIVE:
            case.path_parameters = dict.fromkeys(case.path_parameters, id_)
        answer = case.call(base_url=base_url, session=session, timeout=20, headers=bearer("admin"))
        case.validate_response(answer, checks=CHECKS)

    with suppress(Unsatisfiable):  # a route without parameters cannot be asked wrongly
        ask()


ODD_TEXTS = ["a\0", "\0", "\ud800", "\u202e\x1b[31m", "\U0010ffff", "a" * 300_000, "%", "'; --", "\r\nX: y"]
ODD_NUMBERS = [0, -1, 2**31, 2**63 - 1, 2**63, 10**400, 1e308, 0.5, True, None, "1", [], {}]
ODD_ADDRESSES = [
    "2001:db8::1%a/b",
    "2001:db8::1%\0",
    "2001:db8::1%eth0",
    "1.2.3.4/32",
    "::",
    "010.1.1.1",
    "::ffff:1.2.3.4",
]
FIELDS = {
    "POST /locations": ({"name": "a"}, ["name", "country", "labels", "labels/a", "labels/"]),
    "PATCH /nodes/1": (
        {},
        ["name", "location_id", "labels", "state", "limits", "limits/ports", "limits/max_proxies", "ip", "move"],
    ),
    "PATCH /nodes/2": ({"state": "draining", "move": True}, ["move", "overlap_s", "node_ids", "state"]),
    "POST /nodes/1/replace": ({"ip": "10.9.9.9", "challenge": "a"}, ["ip", "challenge", "port"]),
    "POST /locations/1/rebalance": ({}, ["overlap_s", "max_moves"]),
    "POST /nodes": (
        {"ip": "10.9.9.9", "challenge": "a"},
        ["ip", "challenge", "port", "name", "location_id", "labels/a"],
    ),
    "POST /proxies": (
        {"node_ids": [1]},
        ["node_ids", "port", "username", "password", "allow_ips", "labels/a", "engine"],
    ),
    "PATCH /proxies/1": ({}, ["name", "port", "username", "password", "allow_ips", "labels/a", "enabled"]),
    "POST /nodes/1/sync": ({}, ["confirm"]),
    "PUT /stacks/by-name/a": (
        {"count": 1, "proxy": {"node_ids": [1]}},
        ["name", "count", "spread", "labels/a", "proxy", "proxy/location_ids", "proxy/exit", "proxy/limits"],
    ),
    "PATCH /stacks/1": ({}, ["count", "remove", "proxy/node_ids", "proxy/username", "proxy/labels", "proxy/rotation"]),
}


def with_member(body: dict[str, Any], path: str, value: object) -> bytes:
    """The body with this value in this place; JSON, so that half a letter stays one."""
    outer, slash, inner = path.partition("/")
    return json.dumps({**body, outer: {inner: value} if slash else value}).encode()


@pytest.mark.parametrize("route", list(FIELDS))
async def test_no_odd_value_in_a_body_fails_the_master(api: Api, route: str):
    await api.proxy(await api.node())
    await api.call("POST", "/stacks", 201, json={"name": "a", "count": 2, "proxy": {"node_ids": [1]}})
    method, path = route.split()
    body, fields = FIELDS[route]
    for member in fields:
        for value in [*ODD_TEXTS, *ODD_NUMBERS, *ODD_ADDRESSES, [ODD_ADDRESSES[0]], ["a\0"], [10**400]]:
            headers = {"content-type": "application/json"}
            answer = await api.http.request(method, path, content=with_member(body, member, value), headers=headers)
            assert answer.status_code < 500, (member, str(value)[:50], answer.text[:200])
            assert answer.status_code < 400 or answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/locations", "/nodes", "/proxies", "/stacks", "/events"])
async def test_no_odd_query_fails_the_master(api: Api, path: str):
    names = [
        "after",
        "limit",
        "label",
        "name",
        "state",
        "node_id",
        "location_id",
        "type",
        "port",
        "protocol",
        "enabled",
    ]
    for name in names:
        for value in [
            "%00",
            "%ff",
            "%ED%A0%80",
            "1" * 400,
            "-1",
            "9223372036854775807",
            "9223372036854775808",
            "",
            "a=%00",
        ]:
            answer = await api.http.get(f"{path}?{name}={value}")
            assert answer.status_code in (200, 422), (name, value, answer.text[:200])


ODD_HEADERS = [b"\xff", b"9" * 19, b"9" * 60_000, b'"1",' * 9999, b"", b"\xb2", b"W/", b"a\tb"]


@pytest.mark.parametrize("name", ["If-Match", "Prefer", "Idempotency-Key", "Content-Type", "Last-Event-ID"])
async def test_no_odd_header_fails_the_master(api: Api, name: str):
    node = await api.node()
    for value in ODD_HEADERS:
        path = f"/proxies/{(await api.proxy(node))['id']}"
        headers = {"content-type": "application/json"} | {name.lower(): value}
        for method, at in (("PATCH", path), ("DELETE", path), ("POST", "/proxies"), ("GET", "/events")):
            answer = await api.http.request(method, at, content=b"{}", headers=headers)
            assert answer.status_code < 500, (method, value[:50], answer.text[:200])
