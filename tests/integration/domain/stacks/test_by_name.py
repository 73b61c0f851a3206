"""Stacks by their names: put there is what is wanted, whatever there was."""

import pytest

from tests.integration.conftest import Api
from tests.integration.domain.stacks.conftest import members, named, revisions


async def test_a_put_makes_a_stack_and_the_same_again_does_nothing(fleet: Api):
    body = {"proxy": {"node_ids": [2, 1], "limits": {"connections": 5}}, "labels": {"a": "1"}}
    made = await named(fleet, 4, 201, **body)
    before = await revisions(fleet), await fleet.event_types(), await members(fleet)
    again = await named(fleet, 4, 200, **body, name="shop", spread="nodes")
    assert {**again, "status": None} == {**made, "status": None}
    assert (await revisions(fleet), await fleet.event_types(), await members(fleet)) == before


async def test_a_put_brings_a_stack_to_what_it_says(fleet: Api):
    await named(fleet, 4, 201, proxy={"node_ids": [1, 2], "protocol": "http"}, labels={"a": "1"})
    now = await named(fleet, 3, spread="pack")
    assert (now["count"], now["spread"], now["labels"], now["proxy"]["protocol"]) == (3, "pack", {}, "mixed")
    assert {one["protocol"] for one in await members(fleet)} == {"mixed"}
    assert (await fleet.call("GET", "/stacks/by-name/shop", 200))["id"] == 1


async def test_a_put_says_another_name_than_its_path_in_vain(fleet: Api):
    assert (await named(fleet, 1, 422, name="other"))["errors"][0]["pointer"] == "/name"


async def test_a_put_restores_what_was_taken_away_by_itself(fleet: Api):
    await named(fleet, 3, 201)
    await fleet.call("DELETE", "/proxies/2", 204)
    assert (await fleet.call("GET", "/stacks/1", 200))["count"] == 2
    assert (await fleet.call("GET", "/events?type=stack.scaled", 200))["items"][0]["details"]["before"] == 3
    await named(fleet, 3)
    assert [(one["id"], one["node_id"]) for one in await members(fleet)] == [(1, 1), (3, 1), (4, 2)]


@pytest.mark.parametrize("name", ["a%2Fb", "%20x", "x%0A", "a" * 101, "%00"])
async def test_a_name_that_no_stack_can_have_is_not_found(fleet: Api, name: str):
    await fleet.call("GET", f"/stacks/by-name/{name}", 404)
    await fleet.call("PUT", f"/stacks/by-name/{name}", 404, json={"count": 0, "proxy": {"node_ids": [1]}})


async def test_a_name_in_a_path_may_have_spaces_and_any_letters(fleet: Api):
    body = {"count": 0, "proxy": {"node_ids": [1]}}
    made = await fleet.call("PUT", "/stacks/by-name/caf%C3%A9%20no%20%3F", 201, json=body)
    assert made["name"] == "café no ?"
