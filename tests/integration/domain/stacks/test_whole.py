"""Stacks as a whole: removed, filtered by, rotated, counted, and waited for."""

import asyncio

from tests.integration.conftest import Api
from tests.integration.domain.stacks.conftest import members, named, stack


async def test_a_stack_goes_with_its_proxies_and_nothing_else(fleet: Api):
    await stack(fleet, 12)
    other = await fleet.proxy(1)
    await fleet.call("DELETE", "/stacks/by-name/shop", 204)
    assert [one["id"] for one in (await fleet.call("GET", "/proxies", 200))["items"]] == [other["id"]]
    assert await fleet.rows.fetchval("SELECT sum(count) FROM removals") == 12
    await fleet.call("GET", "/stacks/1", 404)
    await fleet.call("GET", "/stacks/by-name/shop", 404)


async def test_a_change_of_another_version_is_refused(fleet: Api):
    await stack(fleet, 2)
    stale = {"headers": {"If-Match": '"7"'}}
    await fleet.call("PATCH", "/stacks/1", 412, json={"count": 1}, **stale)
    await fleet.call("DELETE", "/stacks/1", 412, **stale)
    await fleet.call("PUT", "/stacks/by-name/shop", 412, json={"count": 1, "proxy": {"node_ids": [1]}}, **stale)
    await fleet.call("PUT", "/stacks/by-name/new", 412, json={"count": 1, "proxy": {"node_ids": [1]}}, **stale)
    answer = await fleet.http.patch("/stacks/1", json={"count": 1}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{answer.json()["version"]}"')


async def test_states_are_counted(fleet: Api):
    await stack(fleet, 3)
    await fleet.report(1)
    assert (await fleet.call("GET", "/stacks/1", 200))["status"] == {
        "running": 2,
        "pending": 1,
        "failed": 0,
        "limited": 0,
        "expired": 0,
        "stopped": 0,
        "unknown": 0,
    }


async def test_stacks_are_listed_by_pages_names_and_labels(fleet: Api):
    for number in range(3):
        await stack(fleet, 0, name=f"s{number}", labels={"n": str(number)})
    first = await fleet.call("GET", "/stacks?limit=2", 200)
    second = await fleet.call("GET", f"/stacks?limit=2&after={first['next']}", 200)
    assert [one["name"] for one in first["items"] + second["items"]] == ["s0", "s1", "s2"]
    assert [one["id"] for one in (await fleet.call("GET", "/stacks?name=s1", 200))["items"]] == [2]
    assert [one["id"] for one in (await fleet.call("GET", "/stacks?label=n:2", 200))["items"]] == [3]


async def test_a_stack_is_a_filter_of_proxies(fleet: Api):
    await stack(fleet, 2)
    await fleet.proxy(1)
    assert len((await fleet.http.get("/proxies/export?stack_id=1")).text.splitlines()) == 2
    link = await fleet.call("POST", "/links", 201, json={"kind": "list", "filter": {"stack_id": 1}})
    assert len((await fleet.http.get(link["path"])).text.splitlines()) == 2
    answer = await fleet.call("PATCH", "/proxies?stack_id=1&expect=2", 200, json={"enabled": False})
    assert (answer["matched"], answer["changed"]) == (2, 2)
    assert (await fleet.call("DELETE", "/proxies?stack_id=1&expect=2", 200))["changed"] == 2
    assert (await fleet.call("GET", "/stacks/1", 200))["count"] == 0


async def test_all_proxies_of_a_stack_are_rotated(fleet: Api):
    await stack(fleet, 3)
    begun = await fleet.call("POST", "/stacks/1/rotate", 202, json={"what": ["credentials"], "overlap_s": 5})
    assert (begun["matched"], len(begun["rotation_ids"])) == (3, 3)
    await fleet.call("POST", "/stacks/1/rotate", 409, json={"what": ["port"]})
    await fleet.call("POST", "/stacks/9/rotate", 404, json={"what": ["port"]})


async def test_what_a_stack_was_used_for_is_summed_up_and_outlives_it(fleet: Api):
    await stack(fleet, 2)
    await fleet.proxy(1)
    await fleet.rows.execute(
        "INSERT INTO usage_hours (proxy_id, node_id, hour, stack_id, received_bytes, sent_bytes, connections, refused)"
        " SELECT id, node_id, date_trunc('hour', now()), stack_id, 10, 1, 1, '{}' FROM proxies"
    )
    await fleet.call("DELETE", "/stacks/1", 204)
    sums = (await fleet.call("GET", "/usage?by=stack", 200))["items"]
    assert [(one["stack_id"], one["received_bytes"]) for one in sums] == [(None, 10), (1, 20)]
    assert (await fleet.call("GET", "/usage?stack_id=1&by=proxy,stack&limit=1", 200))["items"][0]["proxy_id"] == 1
    first = await fleet.call("GET", "/usage?by=proxy,stack&limit=2", 200)
    second = await fleet.call("GET", f"/usage?by=proxy,stack&after={first['next']}", 200)
    found = [(one["stack_id"], one["proxy_id"]) for one in first["items"] + second["items"]]
    assert found == [(None, 3), (1, 1), (1, 2)]


async def test_an_answer_waits_until_every_node_that_it_concerns_has_confirmed(fleet: Api):
    wait = {"headers": {"Prefer": "wait=5"}}
    body = {"count": 2, "proxy": {"node_ids": [1, 2]}}
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(fleet.http.put("/stacks/by-name/shop", json=body, **wait))
        await until_there(fleet)
        await fleet.report(1)
        await fleet.report(2)
    answer = asked.result()
    assert (answer.status_code, answer.json()["status"]["running"]) == (201, 2)
    assert (answer.headers["preference-applied"], answer.headers["location"]) == ("wait=5", "/stacks/1")


async def until_there(fleet: Api) -> None:
    async with asyncio.timeout(5):
        while not await members(fleet):
            await asyncio.sleep(0.02)


async def test_an_answer_that_nobody_confirmed_in_time_says_so(fleet: Api):
    await named(fleet, 2, 201)
    answer = await fleet.http.delete("/stacks/1", headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0")
