"""/nodes"""

import pytest

from master.db.database import Database
from master.errors import BrokerAway, ChallengeUsed, Invalid, MasterError, NodeRefused, NodeTooSlow, NodeUnreachable
from shared.enrolment.challenge import new_challenge
from tests.integration.conftest import Api


async def test_a_waiting_node_is_enrolled_with_what_was_asked(api: Api):
    node = await api.node()
    api.enroller.node = (node, True)
    answer = await api.http.post("/nodes", json={"ip": "::ffff:10.1.2.3", "challenge": new_challenge(), "name": "n"})
    assert (answer.status_code, answer.headers["location"]) == (201, f"/nodes/{node}")
    assert api.enroller.asked == [{"ip": "10.1.2.3", "port": 3006, "name": "n", "location_id": None, "labels": {}}]


async def test_a_challenge_used_before_is_the_same_node(api: Api):
    api.enroller.node = (await api.node(), False)
    shown = await api.call("POST", "/nodes", 200, json={"ip": "10.1.2.3", "challenge": new_challenge()})
    assert shown["id"] == api.enroller.node[0]


async def test_a_mistyped_challenge_is_refused_before_any_call(api: Api):
    body = {"ip": "10.1.2.3", "challenge": "AAAA-BBBB"}
    problem = await api.call("POST", "/nodes", 422, json=body)
    assert problem["errors"][0]["pointer"] == "/challenge"
    assert "AAAA" not in str(problem)
    assert api.enroller.asked == []


THERE = {"ip": "10.1.2.3", "port": 3006}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NodeRefused("no", THERE), 403),
        (NodeUnreachable("no", THERE), 502),
        (NodeTooSlow("no", THERE), 504),
        (ChallengeUsed("taken"), 409),
        (Invalid("wrong"), 422),
        (Invalid("no location"), 422),
        (BrokerAway("no"), 503),
    ],
)
async def test_what_enrolment_refuses_is_told(api: Api, error: MasterError, status: int):
    api.enroller.error = error
    problem = await api.call("POST", "/nodes", status, json={"ip": "10.1.2.3", "challenge": new_challenge()})
    assert problem["status"] == status


async def test_a_node_never_tells_its_secrets(api: Api):
    shown = await api.call("GET", f"/nodes/{await api.node()}", 200)
    assert "secret-hash" not in str(shown)
    assert not [name for name in shown if "hash" in name]


async def test_a_node_tells_its_latest_word(api: Api):
    node = await api.node()
    await api.rows.execute("UPDATE node_status SET held_rev = 3, held_stops = 20, held_of = 30")
    status = (await api.call("GET", f"/nodes/{node}", 200))["status"]
    assert (status["state"], status["held"]) == ("online", {"rev": 3, "stops": 20, "of": 30})


async def test_a_node_that_has_never_reported_is_unseen(api: Api):
    node = await api.node()
    await api.rows.execute("UPDATE node_status SET session = 0, online = false")
    status = (await api.call("GET", f"/nodes/{node}", 200))["status"]
    assert (status["state"], status["reported_at"]) == ("never_reported", None)


async def test_name_limits_labels_and_place_can_be_changed(api: Api):
    node, place = await api.node(), await api.location()
    body = {"name": "edge", "location_id": place, "labels": {"a": "1"}, "limits": {"ports": "30000-30009"}}
    shown = await api.call("PATCH", f"/nodes/{node}", 200, json=body)
    assert {**body, "limits": {"max_proxies": 10000, "ports": "30000-30009"}}.items() <= shown.items()


async def test_another_location_must_be_there(api: Api):
    problem = await api.call("PATCH", f"/nodes/{await api.node()}", 422, json={"location_id": 99})
    assert problem["errors"][0]["pointer"] == "/location_id"


async def test_a_name_is_given_once(api: Api):
    await api.node()
    await api.call("PATCH", f"/nodes/{await api.node()}", 409, json={"name": "node-1"})


async def test_a_range_that_leaves_out_proxies_is_refused_and_says_how_many(api: Api):
    node = await api.node()
    await api.proxy(node, port=20005)
    problem = await api.call("PATCH", f"/nodes/{node}", 409, json={"limits": {"ports": "20006-20010"}})
    assert (problem["type"], problem["count"]) == ("/problems/ports-excluded", 1)


async def test_an_ip_on_which_another_node_uses_the_same_port_is_refused(api: Api):
    first, second = await api.node(ip="10.9.9.1"), await api.node(ip="10.9.9.2")
    by_proxy = (await api.proxy(first, port=20005))["id"]
    await api.proxy(second, port=20005)
    problem = await api.call("PATCH", f"/nodes/{second}", 409, json={"ip": "10.9.9.1"})
    assert (problem["by_proxy"], problem["node_id"], problem["port"]) == (by_proxy, first, 20005)


async def test_each_new_state_is_an_event_of_its_own(api: Api):
    node = await api.node()
    for state in ("draining", "disabled", "active"):
        await api.call("PATCH", f"/nodes/{node}", 200, json={"state": state})
    assert await api.event_types() == ["node.drained", "node.disabled", "node.activated"]


async def test_disabling_a_node_tells_the_wipe_guard_how_many_proxies_go(api: Api):
    node = await api.node()
    await api.proxy(node)
    await api.proxy(node, enabled=False)
    await api.call("PATCH", f"/nodes/{node}", 200, json={"state": "disabled"})
    removal = await api.rows.fetchrow("SELECT r.count, r.revision = n.revision AS now FROM removals r, nodes n")
    assert removal is not None
    assert (removal["count"], removal["now"]) == (1, True)


async def test_a_node_with_proxies_stays_and_says_how_many(api: Api):
    node = await api.node()
    await api.proxy(node)
    problem = await api.call("DELETE", f"/nodes/{node}", 409)
    assert (problem["type"], problem["count"], api.enroller.removed) == ("/problems/still-used", 1, [])


async def test_a_node_goes_with_its_proxies_when_asked_to(api: Api):
    node = await api.node()
    await api.proxy(node)
    await api.call("DELETE", f"/nodes/{node}?proxies=delete", 204)
    assert api.enroller.removed == [node]
    assert (await api.event_types())[-2:] == ["proxy.deleted", "node.removed"]


async def test_a_node_can_be_removed_while_the_broker_is_away(api: Api):
    node = await api.node()
    api.enroller.error = BrokerAway("gone")
    await api.call("DELETE", f"/nodes/{node}", 204)
    await api.call("GET", f"/nodes/{node}", 404)


async def test_a_check_sync_can_be_asked_for_with_and_without_confirmation(api: Api):
    node = await api.node()
    await api.call("POST", f"/nodes/{node}/sync", 202)
    await api.call("POST", f"/nodes/{node}/sync", 202, json={"confirm": True})
    await api.call("POST", "/nodes/999/sync", 404)
    assert api.syncer.checks == [(node, False), (node, True)]


async def test_lists_are_filtered(api: Api):
    place = await api.location()
    first, second = await api.node(location_id=place), await api.node(ip="2001:db8::1")
    await api.report(second, online=False)
    await api.call("PATCH", f"/nodes/{first}", 200, json={"labels": {"a": "1"}, "state": "draining"})
    found = {
        f"location_id={place}": [first],
        "state=draining": [first],
        "state=active": [second],
        "link=online": [first],
        "not.link=online": [second],
        "ip=2001:db8:0::1": [second],
        "label=a:1": [first],
        "name=node-2": [second],
    }
    for query, ids in found.items():
        assert [one["id"] for one in (await api.call("GET", f"/nodes?{query}", 200))["items"]] == ids


async def test_a_node_is_told_of_another_ip_and_its_3proxies_start_again(api: Api, rows: Database):
    """Proxies do not go to their node's own address, which a node behind a router learns from here alone."""
    node = await api.node(engines=("builtin", "3proxy"))
    plain, other = await api.proxy(node), await api.proxy(node, engine="3proxy")

    async def told() -> tuple[str, int]:
        async with rows.session() as session:
            row = await session.row("sync.desired_list", node_id=node, max_rows=1, max_requests=1)
        assert row is not None
        return row["ip"], row["revision"]

    _, before = await told()
    await api.call("PATCH", f"/nodes/{node}", 200, json={"ip": "10.9.8.7"})
    ip, after = await told()
    assert (ip, after > before) == ("10.9.8.7", True)
    assert (await api.call("GET", f"/proxies/{plain['id']}", 200))["version"] == plain["version"]
    assert (await api.call("GET", f"/proxies/{other['id']}", 200))["version"] == other["version"] + 1
    await api.call("PATCH", f"/nodes/{node}", 200, json={"ip": "10.9.8.7", "name": "same-place"})
    assert (await told())[1] == after
