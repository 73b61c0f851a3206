"""The licence limits what is created, in one place, and never touches what exists."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from master.db.database import Database
from master.domain.license.runner import LicenseRunner
from master.domain.nodes.enrolment.service import Enrolment
from master.errors import LicenseRefused
from shared.enrolment.challenge import new_challenge
from tests.integration.conftest import Api
from tests.master.licenses import STRANGER, signed, trusted_test_key

EXPIRED: dict[str, float] = {"nbf": -90, "exp": -30}
GRACE: dict[str, float] = {"nbf": -90, "exp": -3}


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trusted_test_key():
        yield


async def install(api: Api, **claims: Any) -> dict[str, Any]:
    return await api.call("PUT", "/license", 200, json={"key": signed(**claims)})


async def stack(api: Api, location: int, name: str, count: int) -> dict[str, Any]:
    body = {"name": name, "count": count, "proxy": {"location_ids": [location], "protocol": "http"}}
    return await api.call("POST", "/stacks", 201, json=body)


async def grown(api: Api) -> tuple[int, dict[str, Any]]:
    """A node with a proxy and a stack of three."""
    location = await api.location()
    node = await api.node(location_id=location)
    await api.proxy(node, port=29000)
    return location, await stack(api, location, "three", 3)


async def types(api: Api) -> list[str]:
    return [event["type"] for event in (await api.call("GET", "/events?type=license.*", 200))["items"]]


async def test_without_a_licence_everything_works_without_limits(api: Api):
    await grown(api)
    shown = await api.call("GET", "/license", 200)
    assert (shown["state"], shown["id"], shown["proxies"]) == ("community", None, {"counted": 4, "allowed": None})


async def test_a_licence_counts_at_once_and_its_key_is_not_shown(api: Api):
    await grown(api)
    shown = await install(api, max_nodes=7)
    assert (shown["state"], shown["customer"], shown["source"]) == ("valid", "Example", "api")
    assert shown["nodes"] == {"counted": 1, "allowed": 7}
    assert signed(max_nodes=7)[:60] not in str(await api.call("GET", "/license", 200))
    assert signed(max_nodes=7)[:60] not in str(await api.rows.fetch("SELECT t::text FROM events t"))


async def test_a_bad_key_is_refused_with_its_reason_and_changes_nothing(api: Api):
    await install(api, max_nodes=7)
    problem = await api.call("PUT", "/license", 422, json={"key": signed(private=STRANGER)})
    assert problem["errors"][0]["pointer"] == "/key"
    assert (await api.call("GET", "/license", 200))["nodes"]["allowed"] == 7


async def test_the_licence_issued_last_counts_in_whatever_order_they_come(api: Api):
    await install(api, jti="new", iat=-1, max_proxies=50)
    assert (await install(api, jti="old", iat=-20, max_proxies=5))["id"] == "new"


@pytest.mark.parametrize("claims", [{"max_proxies": 4}, EXPIRED], ids=["limit", "expired"])
async def test_only_new_proxies_are_refused(api: Api, claims: dict[str, Any]):
    location, three = await grown(api)
    await install(api, **claims)
    refusals = [
        await api.call("POST", "/proxies", 403, json={"location_id": location}),
        await api.call("PATCH", f"/stacks/{three['id']}", 403, json={"count": 4}),
        await api.call("PUT", "/stacks/by-name/three", 403, json={"count": 9, "proxy": {"location_ids": [location]}}),
        await api.call("POST", "/stacks", 403, json={"name": "s", "count": 1, "proxy": {"location_ids": [location]}}),
        await api.call(
            "POST", "/stacks?dry_run=true", 403, json={"name": "s", "count": 1, "proxy": {"location_ids": [location]}}
        ),
    ]
    assert {(one["type"], one["kind"]) for one in refusals} == {("/problems/license", "proxies")}
    expected = {(4, 4)} if "max_proxies" in claims else {(None, None)}
    assert {(one["counted"], one["allowed"]) for one in refusals} == expected


@pytest.mark.parametrize("claims", [{"max_proxies": 1, "max_nodes": 0}, EXPIRED], ids=["limit", "expired"])
async def test_everything_else_works_over_the_limit_and_after_the_end(api: Api, claims: dict[str, Any]):
    _, three = await grown(api)
    await install(api, **claims)
    proxy = (await api.call("GET", "/proxies", 200))["items"][0]["id"]
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"labels": {"customer": "7"}})
    await api.call("PATCH", "/proxies?all=true&expect=4", 200, json={"limits": {"connections": 5}})
    await api.call("POST", f"/proxies/{proxy}/rotate", 202, json={"what": ["credentials"]})
    await api.call("PATCH", f"/stacks/{three['id']}", 200, json={"proxy": {"protocol": "mixed"}})
    await api.call("PATCH", f"/stacks/{three['id']}", 200, json={"count": 2})
    await api.call(
        "POST", "/proxies/claim", 200, json={"count": 1, "filter": {"stack": "three"}, "labels": {"customer": "8"}}
    )
    await api.call("POST", "/stacks", 201, json={"name": "empty", "count": 0, "proxy": {"node_ids": [1]}})
    await api.call("DELETE", f"/stacks/{three['id']}", 204)


async def test_in_grace_everything_still_works(api: Api):
    location, _ = await grown(api)
    assert (await install(api, **GRACE))["state"] == "grace"
    await api.call("POST", "/proxies", 201, json={"location_id": location})


async def test_new_nodes_are_refused_before_they_are_called(api: Api, enrolment: Enrolment):
    await api.node()
    await install(api, max_nodes=1)
    with pytest.raises(LicenseRefused) as caught:
        await enrolment.enrol("127.0.0.1", 3006, new_challenge(), None, None, {})
    assert caught.value.members == {"kind": "nodes", "counted": 1, "allowed": 1}


async def test_each_stage_is_announced_once_however_many_masters_look(api: Api, rows: Database):
    runners = [LicenseRunner(rows, lambda: ("LICENSE_KEY", signed(nbf=-90, exp=-1))) for _ in range(3)]
    for runner in runners * 2:
        await runner.look()
    assert await types(api) == ["license.installed", "license.expired"]


async def test_an_unusable_key_in_the_settings_is_a_problem_and_no_licence(api: Api, rows: Database):
    runner = LicenseRunner(rows, lambda: ("LICENSE_KEY", "nonsense"))
    await runner.look()
    assert runner.problem is not None
    assert runner.problem.setting == "LICENSE_KEY"
    assert (await api.call("GET", "/license", 200))["state"] == "community"


async def test_a_clock_that_was_set_back_does_not_extend_the_licence(api: Api):
    location, _ = await grown(api)
    await api.rows.execute(
        "UPDATE events SET at = now() + $1 WHERE id = (SELECT max(id) FROM events)", timedelta(days=40)
    )
    await install(api, exp=10)
    await api.rows.execute(
        "UPDATE events SET at = now() + $1 WHERE id = (SELECT max(id) FROM events)", timedelta(days=40)
    )
    assert (await api.call("GET", "/license", 200))["state"] == "expired"
    await api.call("POST", "/proxies", 403, json={"location_id": location})
