"""A time that is not one is refused wherever a time comes in, and no proxy ends by a slip of the pen."""

from typing import Any

import pytest

from tests.integration.conftest import Api

PAST, FUTURE = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
WRONG = ["20300101", "2030", "1900000000", "2030-01-01", "2030-01-01T00:00:00", "2030-01-01 00:00:00Z", "now", 20300101]


def limits(end: object) -> dict[str, Any]:
    return {"limits": {"expires_at": end}}


def bodies(node: int, end: object) -> list[tuple[str, str, dict[str, Any], str]]:
    """(method, path, body, where the time stands) of every write that takes a time."""
    template = {"node_ids": [node], **limits(end)}
    return [
        ("PATCH", f"/proxies?node_id={node}&expect=3", limits(end), "/limits/expires_at"),
        ("POST", "/proxies", template, "/limits/expires_at"),
        ("PATCH", "/proxies/1", limits(end), "/limits/expires_at"),
        ("POST", "/stacks", {"name": "b", "count": 1, "proxy": template}, "/proxy/limits/expires_at"),
        ("PUT", "/stacks/by-name/a", {"count": 2, "proxy": template}, "/proxy/limits/expires_at"),
        ("PUT", "/stacks/by-name/c", {"count": 1, "proxy": template}, "/proxy/limits/expires_at"),
        ("PATCH", "/stacks/1", {"proxy": limits(end)}, "/proxy/limits/expires_at"),
        ("POST", "/links", {"kind": "list", "expires_at": end}, "/expires_at"),
    ]


async def furnished(api: Api) -> int:
    """A node with three proxies, two of them of the stack a."""
    node = await api.node()
    await api.proxy(node)
    await api.call("POST", "/stacks", 201, json={"name": "a", "count": 2, "proxy": {"node_ids": [node]}})
    return node


@pytest.mark.parametrize("end", WRONG)
async def test_a_time_in_a_body_is_rfc_3339_everywhere(api: Api, end: object):
    node = await furnished(api)
    for method, path, body, pointer in bodies(node, end):
        problem = await api.call(method, path, 422, json=body)
        assert [one["pointer"] for one in problem["errors"]] == [pointer], (method, path)
        assert "2030-01-31T18:00:00Z" in problem["detail"]
    assert await api.rows.fetchval("SELECT count(*) FROM proxies WHERE limits ? 'expires_at'") == 0


@pytest.mark.parametrize("query", ["/lookup?ip=10.0.0.1&at=", "/usage?from=", "/usage?to="])
@pytest.mark.parametrize("time", [str(time) for time in WRONG])
async def test_a_time_in_a_query_is_rfc_3339_everywhere(api: Api, query: str, time: str):
    problem = await api.call("GET", f"{query}{time}", 422)
    assert problem["errors"][0]["parameter"] == query.rstrip("=").rpartition("&")[2].rpartition("?")[2]


async def test_an_offset_whose_plus_was_not_encoded_is_explained(api: Api):
    problem = await api.call("GET", "/usage?from=2026-11-01T00:00:00+01:00", 422)
    assert "%2B" in problem["detail"]
    await api.call("GET", "/usage?from=2026-11-01T00:00:00%2B01:00", 200)


async def test_a_new_end_in_the_past_is_refused_everywhere_and_changes_nothing(api: Api):
    node = await furnished(api)
    for method, path, body, pointer in bodies(node, PAST):
        problem = await api.call(method, path, 422, json=body)
        assert [one["pointer"] for one in problem["errors"]] == [pointer], (method, path)
        assert "past" in problem["detail"]
    assert await api.rows.fetchval("SELECT count(*) FROM proxies WHERE limits ? 'expires_at'") == 0


async def test_an_end_in_the_past_is_taken_when_it_is_meant(api: Api):
    node = await furnished(api)
    for method, path, body, _ in bodies(node, PAST)[:-1]:
        there = f"{path}{'&' if '?' in path else '?'}allow_past=true"
        answer = await api.http.request(method, there, json=body)
        assert answer.status_code in (200, 201), answer.text
    assert await api.rows.fetchval("SELECT count(*) FROM proxies WHERE limits->>'expires_at' = $1", PAST) == 6


async def test_an_end_in_the_future_needs_no_word_more(api: Api):
    node = await furnished(api)
    for method, path, body, _ in bodies(node, FUTURE):
        answer = await api.http.request(method, path, json=body)
        assert answer.status_code in (200, 201), answer.text


async def test_an_end_that_has_come_may_be_repeated(api: Api):
    node = await api.node()
    body = {"count": 2, "proxy": {"node_ids": [node], **limits(PAST)}}
    made = await api.call("PUT", "/stacks/by-name/a?allow_past=true", 201, json=body)
    again = await api.call("PUT", "/stacks/by-name/a", 200, json=body)
    assert again["version"] == made["version"]
    respelt = {"count": 2, "proxy": {"node_ids": [node], **limits("2020-01-01T01:00:00+01:00")}}
    assert (await api.call("PUT", "/stacks/by-name/a", 200, json=respelt))["version"] == made["version"]
    await api.call("PATCH", f"/proxies?node_id={node}&expect=2", 200, json=limits(PAST))
    await api.call("PATCH", "/stacks/1", 200, json={"proxy": {"limits": {"connections": 5}}})


async def test_a_trial_run_refuses_an_end_in_the_past_as_well(api: Api):
    await furnished(api)
    await api.call("PATCH", "/proxies/1?dry_run=true", 422, json=limits(PAST))
    await api.call("PATCH", "/proxies/1?dry_run=true&allow_past=true", 200, json=limits(PAST))
