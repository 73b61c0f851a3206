"""Invitations: what they give, to whom, how often, and that their codes stay secrets."""

from typing import Any

import pytest

from shared.enrolment.invitation import read_invitation
from tests.integration.conftest import Api


async def made(api: Api, **members: Any) -> dict[str, Any]:
    return await api.call("POST", "/invitations", 201, json=members)


async def test_an_invitation_shows_its_code_once_and_the_database_does_not_hold_it(api: Api):
    created = await made(api, uses=30, name_prefix="fra")
    code = created.pop("code")
    shown = {name: created.pop(name) for name in ("environment", "command", "cloud_init")}
    assert shown["environment"] == {"NODE_INVITATION": code, "NODE_MASTER_URL": "http://master"}
    assert read_invitation(code).id == created["id"]
    assert await api.call("GET", f"/invitations/{created['id']}", 200) == created
    assert (await api.call("GET", "/invitations", 200))["items"] == [created]
    for table in ("invitations", "events"):
        assert code[2:] not in str(await api.rows.fetch(f"SELECT t::text FROM {table} t"))


async def test_an_invitation_has_the_defaults_of_one_node_and_one_day(api: Api):
    created = await made(api)
    assert (created["state"], created["uses"], created["used"], created["node_ids"]) == ("open", 1, 0, [])
    assert created["limits"] == {"max_proxies": None, "ports": None}
    age = await api.rows.fetchval("SELECT extract(epoch FROM expires_at - created_at)::integer FROM invitations")
    assert age == 86_400


async def test_an_invitation_takes_a_location_by_its_name(api: Api):
    location = await api.location("Frankfurt")
    created = await made(api, location="Frankfurt", labels={"rack": "12"}, limits={"ports": "20000-20099"})
    assert (created["location_id"], created["limits"]["ports"]) == (location, "20000-20099")


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"uses": 0}, "/uses"),
        ({"uses": 1001}, "/uses"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "/expires_at"),
        ({"location_id": 4711}, "/location_id"),
        ({"name_prefix": ""}, "/name_prefix"),
        ({"limits": {"ports": "9-1"}}, "/limits/ports"),
        ({"more": 1}, "/more"),
    ],
)
async def test_what_no_invitation_can_have_is_refused(api: Api, members: dict[str, Any], pointer: str):
    problem = await api.call("POST", "/invitations", 422, json=members)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_the_same_idempotency_key_makes_one_invitation(api: Api):
    headers = {"Idempotency-Key": "rack-12"}
    one, other = [await api.http.post("/invitations", json={"uses": 2}, headers=headers) for _ in range(2)]
    assert one.json() == other.json()
    assert other.headers["Idempotency-Replayed"] == "true"
    assert len((await api.call("GET", "/invitations", 200))["items"]) == 1


async def test_the_state_of_an_invitation_says_why_nobody_else_is_enrolled(api: Api):
    used, expired = await made(api), await made(api)
    await api.rows.execute("UPDATE invitations SET used = 1 WHERE id = $1", used["id"])
    await api.rows.execute("UPDATE invitations SET expires_at = now() WHERE id = $1", expired["id"])
    items = (await api.call("GET", "/invitations", 200))["items"]
    assert [one["state"] for one in items] == ["used_up", "expired"]


async def test_a_removed_invitation_is_gone_and_leaves_its_nodes(api: Api):
    created, node = await made(api, uses=2), await api.node()
    await api.rows.execute("UPDATE nodes SET invitation_id = $1", created["id"])
    await api.call("DELETE", f"/invitations/{created['id']}", 204)
    await api.call("GET", f"/invitations/{created['id']}", 404)
    await api.call("DELETE", f"/invitations/{created['id']}", 404)
    assert (await api.call("GET", "/invitations", 200))["items"] == []
    assert (await api.call("GET", f"/nodes/{node}", 200))["id"] == node


async def test_events_name_the_invitation_and_who_acted(api: Api):
    created = await made(api, uses=2)
    await api.call("DELETE", f"/invitations/{created['id']}", 204)
    events = (await api.call("GET", "/events?type=invitation.*", 200))["items"]
    assert [(event["type"], event["actor"], event["details"]) for event in events] == [
        ("invitation.created", "api", {"invitation_id": created["id"], "uses": 2}),
        ("invitation.removed", "api", {"invitation_id": created["id"], "uses": 2, "used": 0}),
    ]


async def test_the_database_itself_refuses_more_uses_than_there_are(api: Api):
    created = await made(api)
    with pytest.raises(Exception, match="invitations_used"):
        await api.rows.execute("UPDATE invitations SET used = 2 WHERE id = $1", created["id"])
