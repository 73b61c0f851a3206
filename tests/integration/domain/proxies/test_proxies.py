"""/proxies/{id} and placement"""

import asyncio

import pytest

from tests.integration.conftest import Api


async def test_a_proxy_is_made_with_drawn_login_and_the_lowest_port(api: Api):
    node = await api.node()
    answer = await api.http.post("/proxies", json={"node_ids": [node]})
    made = answer.json()
    assert (answer.status_code, answer.headers["etag"], made["port"]) == (201, '"1"', 20000)
    assert answer.headers["location"] == f"/proxies/{made['id']}"
    assert made["urls"][0] == f"http://{made['username']}:{made['password']}@10.0.0.1:20000"
    assert made["urls"][1].startswith("socks5://")


async def test_urls_are_escaped_and_ipv6_is_bracketed(api: Api):
    made = await api.proxy(await api.node(ip="2001:db8::1"), username="a@b", password="p:/?", protocol="http")
    assert made["urls"] == ["http://a%40b:p%3A%2F%3F@[2001:db8::1]:20000"]


async def test_proxies_are_spread_over_the_nodes_of_a_location(api: Api):
    place = await api.location()
    nodes = [await api.node(location_id=place) for _ in range(3)]
    made = [(await api.call("POST", "/proxies", 201, json={"location_id": place}))["node_id"] for _ in range(6)]
    assert made == nodes * 2


async def test_proxies_asked_for_at_once_are_spread_as_well(api: Api):
    place = await api.location()
    nodes = [await api.node(location_id=place) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(api.call("POST", "/proxies", 201, json={"location_id": place})) for _ in range(20)]
    made = [(one.result()["node_id"], one.result()["port"]) for one in asked]
    assert sorted(made) == [(node, 20000 + number) for node in nodes for number in range(10)]


async def test_a_location_and_nodes_together_mean_what_is_both(api: Api):
    place = await api.location()
    inside, outside = await api.node(location_id=place), await api.node()
    body = {"location_id": place, "node_ids": [outside, inside]}
    assert (await api.call("POST", "/proxies", 201, json=body))["node_id"] == inside
    problem = await api.call("POST", "/proxies", 409, json={"location_id": place, "node_ids": [outside]})
    assert (problem["wanted"], problem["possible"], problem["by_node"]) == (1, 0, [])


async def test_where_must_be_said_and_must_be_there(api: Api):
    node = await api.node()
    for body, pointers in (
        ({}, ["/location_id", "/node_ids"]),
        ({"location_id": 99}, ["/location_id"]),
        ({"node_ids": [node, 99, 98]}, ["/node_ids/1", "/node_ids/2"]),
        ({"node_ids": []}, ["/node_ids"]),
    ):
        problem = await api.call("POST", "/proxies", 422, json=body)
        assert [one["pointer"] for one in problem["errors"]] == pointers


async def test_when_no_node_can_take_it_each_says_why(api: Api):
    draining, other, small = await api.node(), await api.node(engines=("3proxy",)), await api.node()
    await api.call("PATCH", f"/nodes/{draining}", 200, json={"state": "draining"})
    await api.call("PATCH", f"/nodes/{small}", 200, json={"limits": {"max_proxies": 0}})
    problem = await api.call("POST", "/proxies", 409, json={"node_ids": [small, other, draining]})
    assert problem["type"] == "/problems/insufficient-capacity"
    assert problem["by_node"] == [
        {"node_id": draining, "possible": 0, "reason": "it is draining"},
        {"node_id": other, "possible": 0, "reason": "it has no engine builtin"},
        {"node_id": small, "possible": 0, "reason": "it is full: 0 of 0 proxies"},
    ]


async def test_the_last_port_of_a_range_is_given_and_then_there_is_no_room(api: Api):
    node = await api.node()
    await api.call("PATCH", f"/nodes/{node}", 200, json={"limits": {"ports": "20000-20001"}})
    await api.proxy(node)
    await api.proxy(node)
    problem = await api.call("POST", "/proxies", 409, json={"node_ids": [node]})
    assert problem["by_node"] == [{"node_id": node, "possible": 0, "reason": "no port of 20000-20001 is free"}]


async def test_a_freed_port_is_given_again(api: Api):
    node = await api.node()
    made = [await api.proxy(node) for _ in range(3)]
    await api.call("DELETE", f"/proxies/{made[1]['id']}", 204)
    assert (await api.proxy(node))["port"] == 20001


async def test_a_port_that_a_stranger_holds_is_not_offered(api: Api):
    node = await api.node()
    await api.rows.execute("INSERT INTO taken_ports VALUES ($1, 20000, now() + interval '1 hour')", node)
    await api.rows.execute("INSERT INTO taken_ports VALUES ($1, 20001, now() - interval '1 second')", node)
    assert (await api.proxy(node))["port"] == 20001


async def test_nodes_that_share_an_ip_never_share_a_port(api: Api):
    first, second = await api.node(ip="10.9.9.9"), await api.node(ip="10.9.9.9")
    holder = await api.proxy(first)
    assert (await api.proxy(second))["port"] == 20001
    problem = await api.call("POST", "/proxies", 409, json={"node_ids": [second], "port": 20000})
    assert (problem["by_proxy"], problem["node_id"], problem["port"]) == (holder["id"], first, 20000)


async def test_an_asked_port_that_is_taken_names_its_proxy(api: Api):
    node = await api.node()
    holder = await api.proxy(node, port=20007)
    problem = await api.call("POST", "/proxies", 409, json={"node_ids": [node], "port": 20007})
    assert (problem["type"], problem["by_proxy"]) == ("/problems/port-taken", holder["id"])


async def test_an_asked_port_outside_the_range_is_refused(api: Api):
    node = await api.node()
    problem = await api.call("POST", "/proxies", 409, json={"node_ids": [node], "port": 80})
    assert (problem["type"], problem["ports"]) == ("/problems/port-outside-range", "20000-29999")


async def test_a_refused_proxy_leaves_nothing_behind(api: Api):
    node = await api.node()
    await api.call("POST", "/proxies", 409, json={"node_ids": [node], "port": 80})
    assert await api.rows.fetchval("SELECT count(*) FROM proxies") == 0
    assert await api.event_types() == []


async def test_a_change_grows_version_and_revision_and_names_its_fields(api: Api):
    node = await api.node()
    made = await api.proxy(node)
    changed = await api.call("PATCH", f"/proxies/{made['id']}", 200, json={"password": "fresh", "port": 20500})
    event = (await api.call("GET", "/events?type=proxy.updated", 200))["items"][0]
    assert (changed["version"], changed["password"], changed["port"]) == (2, "fresh", 20500)
    assert event["details"] == {"changed": ["password", "port"], "version": 2}
    assert await api.rows.fetchval("SELECT revision FROM nodes") == 3


async def test_a_change_that_changes_nothing_is_no_version_and_no_event(api: Api):
    made = await api.proxy(await api.node(), labels={"a": "1"})
    body = {"enabled": True, "labels": {"a": "1"}, "username": made["username"]}
    assert (await api.call("PATCH", f"/proxies/{made['id']}", 200, json=body))["version"] == 1
    assert await api.event_types() == ["proxy.created"]


async def test_a_changed_port_must_be_free_and_in_the_range(api: Api):
    node = await api.node()
    first, second = await api.proxy(node), await api.proxy(node)
    taken = await api.call("PATCH", f"/proxies/{second['id']}", 409, json={"port": first["port"]})
    outside = await api.call("PATCH", f"/proxies/{second['id']}", 409, json={"port": 80})
    assert (taken["by_proxy"], outside["type"]) == (first["id"], "/problems/port-outside-range")


async def test_a_changed_engine_must_be_on_the_node(api: Api):
    node = await api.node()
    made = await api.proxy(node)
    problem = await api.call("PATCH", f"/proxies/{made['id']}", 409, json={"engine": "3proxy"})
    assert (problem["type"], problem["node_ids"]) == ("/problems/engine-missing", [node])


async def test_a_name_is_given_once(api: Api):
    node = await api.node()
    await api.proxy(node, name="one")
    problem = await api.call("POST", "/proxies", 409, json={"node_ids": [node], "name": "one"})
    assert problem["type"] == "/problems/name-taken"


async def test_no_proxy_is_made_open(api: Api):
    made = await api.proxy(await api.node())
    problem = await api.call("PATCH", f"/proxies/{made['id']}", 422, json={"username": None})
    assert problem["errors"][0]["pointer"] == "/allow_ips"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_stale_version_changes_nothing(api: Api, method: str):
    path = f"/proxies/{(await api.proxy(await api.node()))['id']}"
    await api.call("PATCH", path, 200, json={"name": "x"}, headers={"If-Match": '"1"'})
    body = {"json": {"name": "y"}} if method == "PATCH" else {}
    problem = await api.call(method, path, 412, headers={"If-Match": '"1"'}, **body)
    assert problem["version"] == 2
    assert (await api.call("GET", path, 200))["name"] == "x"


async def test_a_removed_proxy_is_gone_and_the_wipe_guard_knows(api: Api):
    made = await api.proxy(await api.node())
    await api.call("DELETE", f"/proxies/{made['id']}", 204)
    await api.call("GET", f"/proxies/{made['id']}", 404)
    assert await api.rows.fetchval("SELECT r.count FROM removals r JOIN nodes n ON n.revision = r.revision") == 1


async def test_of_two_who_change_one_proxy_at_the_same_version_one_wins(api: Api):
    path = f"/proxies/{(await api.proxy(await api.node()))['id']}"
    headers = {"If-Match": '"1"'}
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(api.http.patch(path, json={"name": name}, headers=headers)) for name in ("a", "b")]
    assert sorted(one.result().status_code for one in both) == [200, 412]


async def test_the_schema_keeps_count_of_each_node_s_proxies(api: Api):
    first, second = await api.node(), await api.node()
    made = [(await api.proxy(first))["id"] for _ in range(3)]
    await api.call("DELETE", f"/proxies/{made[0]}", 204)
    await api.call("PATCH", f"/proxies/{made[1]}", 200, json={"password": "fresh"})
    await api.rows.execute("UPDATE proxies SET node_id = $1 WHERE id = $2", second, made[2])
    assert await api.rows.fetch("SELECT id, proxy_count FROM nodes ORDER BY id") == [(first, 1), (second, 1)]


async def test_a_full_range_is_seen_across_nodes_that_share_an_ip(api: Api):
    first, second = await api.node(ip="10.9.9.9"), await api.node(ip="10.9.9.9")
    for node, ports in ((first, "20000-20009"), (second, "20000-20001")):
        await api.call("PATCH", f"/nodes/{node}", 200, json={"limits": {"ports": ports}})
    for port in (20000, 20001, 20005):
        await api.proxy(first, port=port)
    problem = await api.call("POST", "/proxies", 409, json={"node_ids": [second]})
    assert problem["by_node"] == [{"node_id": second, "possible": 0, "reason": "no port of 20000-20001 is free"}]


async def test_proxies_outside_a_shared_range_leave_its_ports_free(api: Api):
    first, second = await api.node(ip="10.9.9.9"), await api.node(ip="10.9.9.9")
    await api.call("PATCH", f"/nodes/{second}", 200, json={"limits": {"ports": "20000-20001"}})
    for port in (20005, 20006, 20007):
        await api.proxy(first, port=port)
    assert (await api.proxy(second))["port"] == 20000


async def test_a_port_of_a_rotation_counts_when_a_nearly_full_node_is_chosen(api: Api):
    location = await api.location()
    narrow, wide = await api.node(location_id=location), await api.node(location_id=location)
    await api.call("PATCH", f"/nodes/{narrow}", 200, json={"limits": {"ports": "20000-20001"}})
    for _ in range(3):
        await api.proxy(wide)
    rotating = await api.proxy(narrow)
    await api.rows.execute(
        "INSERT INTO endpoints (proxy_id, rotation_id, node_id, port, exit, role)"
        " VALUES ($1, 1, $2, 20001, '{}', 'next')",
        rotating["id"],
        narrow,
    )
    placed = await api.call("POST", "/proxies", 201, json={"location_id": location})
    assert placed["node_id"] == wide
