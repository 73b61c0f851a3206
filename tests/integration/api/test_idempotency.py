"""A request with an Idempotency-Key is done once."""

import asyncio

from shared.enrolment.challenge import new_challenge
from tests.integration.conftest import Api

KEY = {"Idempotency-Key": "k1"}


async def test_the_same_request_again_is_answered_alike_and_does_nothing(api: Api):
    node = await api.node()
    first = await api.http.post("/proxies", json={"node_ids": [node], "name": "a"}, headers=KEY)
    again = await api.http.post("/proxies", json={"name": "a", "node_ids": [node]}, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert [again.headers[name] == first.headers[name] for name in ("etag", "location")] == [True, True]
    assert await api.rows.fetchval("SELECT count(*) FROM proxies") == 1


async def test_another_body_under_the_same_key_is_refused(api: Api):
    await api.http.post("/locations", json={"name": "a"}, headers=KEY)
    problem = await api.call("POST", "/locations", 422, json={"name": "b"}, headers=KEY)
    assert problem["errors"][0]["header"] == "Idempotency-Key"


async def test_another_path_under_the_same_key_is_refused(api: Api):
    node = await api.node()
    await api.http.post("/locations", json={"name": "a"}, headers=KEY)
    await api.call("POST", "/proxies", 422, json={"node_ids": [node]}, headers=KEY)


async def test_of_two_at_once_the_second_waits_for_the_first(api: Api):
    node = await api.node()
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(api.http.post("/proxies", json={"node_ids": [node]}, headers=KEY)) for _ in range(5)]
    assert {one.result().json()["id"] for one in both} == {both[0].result().json()["id"]}
    assert await api.rows.fetchval("SELECT count(*) FROM proxies") == 1


async def test_a_refused_request_is_not_remembered(api: Api):
    body = {"location_id": 1}
    await api.call("POST", "/proxies", 422, json=body, headers=KEY)
    await api.node(location_id=await api.location())
    await api.call("POST", "/proxies", 201, json=body, headers=KEY)


async def test_an_enrolment_is_replayed_without_calling_the_node_again(api: Api):
    api.enroller.node = (await api.node(), True)
    body = {"ip": "10.1.2.3", "challenge": new_challenge()}
    first = await api.http.post("/nodes", json=body, headers=KEY)
    again = await api.http.post("/nodes", json=body, headers=KEY)
    assert (again.status_code, again.content, len(api.enroller.asked)) == (201, first.content, 1)


async def test_keys_are_forgotten_after_a_day(api: Api):
    await api.http.post("/locations", json={"name": "a"}, headers=KEY)
    await api.rows.execute("UPDATE idempotency_keys SET at = at - interval '25 hours'")
    await api.call("POST", "/locations", 201, json={"name": "b"}, headers={"Idempotency-Key": "k2"})
    assert await api.rows.fetchval("SELECT array_agg(key) FROM idempotency_keys") == ["k2"]


async def test_a_key_has_a_length(api: Api):
    await api.call("POST", "/locations", 422, json={"name": "a"}, headers={"Idempotency-Key": "k" * 256})
