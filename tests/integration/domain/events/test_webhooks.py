"""Webhooks: every event that is wanted, in order, at least once, and nothing that is private."""

from typing import Any

import pytest

from master.domain.webhooks import delivery as deliveries
from master.domain.webhooks.signing import signature
from tests.acceptance.conftest import eventually
from tests.integration.conftest import Api
from tests.integration.domain.events.test_events_stream import happen
from tests.master.api_servers import Master, master
from tests.master.webhook_receiver import receiver
from tests.services.postgres import Database as Address

COLUMNS = ("state", "lag", "failures", "position")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "retry_delay_s", lambda failures, draw: 0.2)
    monkeypatch.setattr(deliveries, "POLL_S", 0.2)


async def made(one: Master, **wish: Any) -> dict[str, Any]:
    answer = await one.http.post("/webhooks", json=wish)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def hook(one: Master, id_: int) -> dict[str, Any]:
    return (await one.http.get(f"/webhooks/{id_}")).json()


async def test_what_is_wanted_is_told_in_order_and_signed(database: Address):
    async with master(database) as one, receiver() as got:
        await happen(one.rows)
        mine = await made(one, url=got.url, types=["node.*"], node_id=7)
        for node_id in (7, 8, 7):
            await happen(one.rows, node_id=node_id)
        await got.has(2)
        assert got.ids == ["evt_2", "evt_4"]
        assert [message["data"]["node_id"] for message in got.messages] == [7, 7]
        head = got.headers[0]
        signed = signature(mine["secret"], "evt_2", int(head["webhook-timestamp"]), got.bodies[0])
        assert head["webhook-signature"] == signed
        assert head["host"].startswith("localhost:")


async def test_a_receiver_that_fails_gets_everything_in_order_when_it_is_back(database: Address):
    async with master(database) as one, receiver(503) as got:
        id_ = (await made(one, url=got.url))["id"]
        await happen(one.rows, 5)
        await got.has(2)
        assert set(got.ids) == {"evt_1"}
        shown = await hook(one, id_)
        assert (shown["state"], shown["lag"], shown["last_error"]) == ("failing", 5, "it answered 503")
        got.status, before = 204, len(got.ids)
        await got.has(before + 5)
        assert sorted(set(got.ids)) == [f"evt_{number}" for number in range(1, 6)]
        assert got.ids[-5:] == [f"evt_{number}" for number in range(1, 6)]

        async def is_well() -> bool:
            shown = await hook(one, id_)
            return [shown[name] for name in COLUMNS] == ["active", 0, 0, 5]

        await eventually(is_well, 10)


async def test_two_masters_tell_each_event_once_and_in_order(database: Address):
    async with master(database) as one, master(database), receiver() as got:
        await made(one, url=got.url)
        for _ in range(100):
            await happen(one.rows)
        await got.has(100)
        assert got.ids == [f"evt_{number}" for number in range(1, 101)]


async def test_a_slow_receiver_holds_up_no_other(database: Address):
    async with master(database) as one, receiver(None) as slow, receiver() as quick:
        await made(one, url=slow.url)
        await made(one, url=quick.url)
        await happen(one.rows, 20)
        await quick.has(20)
        assert len(slow.ids) == 1


async def test_a_master_that_dies_with_a_claim_is_followed(database: Address):
    async with master(database) as one, receiver() as got, database.connection() as rows:
        id_ = (await made(one, url=got.url, enabled=False))["id"]
        await happen(one.rows)
        await rows.execute(
            "UPDATE webhooks SET enabled = true, claim = gen_random_uuid(), claimed_until = now() + interval '1 s'"
        )
        one.deliveries.refresh()
        await got.has(1)
        assert (await hook(one, id_))["enabled"]


async def test_a_master_that_has_lost_its_claim_tells_no_more(database: Address):
    async with master(database) as one, receiver(None) as got, database.connection() as rows:
        await made(one, url=got.url)
        await happen(one.rows, 5)
        await got.has(1)
        await rows.execute("UPDATE webhooks SET claim = gen_random_uuid(), claimed_until = now() + interval '1 hour'")
        got.status = 204
        await one.http.patch("/webhooks/1", json={"enabled": False})
        await happen(one.rows)
    assert len(got.ids) == 1


async def test_a_receiver_that_is_gone_is_left_alone_and_goes_on_when_it_is_enabled(database: Address):
    async with master(database) as one, receiver(410) as got:
        id_ = (await made(one, url=got.url))["id"]
        await happen(one.rows, 2)

        async def is_disabled() -> bool:
            return (await hook(one, id_))["state"] == "disabled"

        await eventually(is_disabled, 10)
        got.status = 204
        await one.http.patch(f"/webhooks/{id_}", json={"enabled": True})
        await got.has(3)
        assert got.ids == ["evt_1", "evt_1", "evt_2"]


async def test_a_redirect_is_not_followed(database: Address):
    async with master(database) as one, receiver(302) as got:
        id_ = (await made(one, url=got.url))["id"]
        tried = (await one.http.post(f"/webhooks/{id_}/test")).json()
    assert (tried["ok"], tried["status"], tried["reason"]) == (False, 302, "it answered 302")
    assert got.messages[0]["type"] == "webhook.test"


async def test_a_private_receiver_is_refused_by_address_and_after_its_name_is_looked_up(database: Address):
    async with master(database, allow_private=False) as one, receiver() as got:
        for url in ("http://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest"):
            assert (await one.http.post("/webhooks", json={"url": url})).status_code == 422
        id_ = (await made(one, url=got.url))["id"]
        tried = (await one.http.post(f"/webhooks/{id_}/test")).json()
    assert tried["reason"] == "its address is private, and WEBHOOK_ALLOW_PRIVATE is not set"
    assert got.ids == []


async def test_the_address_that_was_looked_up_is_the_one_that_is_called(database: Address):
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with master(database) as one, receiver() as got:
        own = deliveries.DeliveryRunner(one.rows, allow_private=True, resolve=resolve)
        url = got.url.replace("localhost", "hooks.example")
        sent = await own.test({"id": 1, "url": url, "secret": "whsec_AAAA"})
        await own.close()
    assert (sent.ok, asked) == (True, ["hooks.example"])
    assert got.headers[0]["host"].startswith("hooks.example:")


async def test_a_secret_is_shown_once_and_a_login_in_an_address_is_refused(api: Api):
    made = await api.call("POST", "/webhooks", 201, json={"url": "https://example.org/"})
    assert made["secret"].startswith("whsec_")
    listed = await api.call("GET", "/webhooks", 200)
    assert "secret" not in listed["items"][0]
    assert "whsec" not in str([listed, await api.call("GET", "/events", 200)])
    await api.call("POST", "/webhooks", 422, json={"url": "https://me:hush@example.org/"})
    await api.call("DELETE", f"/webhooks/{made['id']}", 204)
    await api.call("GET", f"/webhooks/{made['id']}", 404)


async def test_neither_secret_nor_address_of_a_failing_webhook_is_logged(
    database: Address, capfd: pytest.CaptureFixture[str]
):
    async with master(database) as one, receiver(500) as got:
        secret = (await made(one, url=got.url))["secret"]
        await happen(one.rows)
        await got.has(2)
    told = "".join(capfd.readouterr())
    assert "webhook.delivery_failed" in told
    assert secret not in told
    assert "hush" not in told
