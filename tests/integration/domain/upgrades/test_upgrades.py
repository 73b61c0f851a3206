"""Upgrades of a fleet on a real database: how they start, go on, stop and end."""

from pathlib import Path

import pytest

from master.asgi import DOWNLOADS
from master.db.constraints import writing
from master.distribution.folder import BundleFolder
from master.domain.upgrades.releases import OfferedReleases
from master.domain.upgrades.service import pause_after_restore
from shared.release.signing import new_key, public_key
from tests.integration.conftest import REQUEST, Api
from tests.master.shared_app import shared
from tests.master.upgrades import Fleet, releases, strangers_key, write_release


def offer(fleet: Fleet, folder: BundleFolder) -> None:
    """Have both masters, the one that answers and the one that runs, look into this folder."""
    fleet.source = shared()[0].state[DOWNLOADS].folder = folder


async def test_an_upgrade_begins_with_one_node_and_ends_when_all_run_the_version(fleet: Fleet):
    one, two, three = await fleet.nodes(3)
    upgrade = await fleet.start(batch=2)
    await fleet.step()
    assert await fleet.states(upgrade) == {one: "asked", two: "waiting", three: "waiting"}
    await fleet.reports(one, state="fetching")
    await fleet.step()
    assert await fleet.states(upgrade) == {one: "fetching", two: "waiting", three: "waiting"}
    await fleet.upgrades(one)
    assert await fleet.states(upgrade) == {one: "done", two: "asked", three: "asked"}
    await fleet.upgrades(two, three)
    shown = await fleet.shown(upgrade)
    assert (shown["state"], shown["counts"], shown["reason"]) == ("done", {"done": 3}, None)
    assert [step["state"] for step in shown["nodes"][0]["steps"]] == [
        *("waiting", "asked", "fetching", "soaking", "done")
    ]
    assert fleet.sender.nodes == [one, two, three]
    assert await fleet.events() == ["upgrade.started", *["node.upgraded"] * 3, "upgrade.finished"]
    events = (await fleet.api.call("GET", "/events?type=upgrade.*&type=node.upgraded", 200))["items"]
    assert {(event["actor"], event["request_id"]) for event in events} == {("api", REQUEST)}


async def test_a_request_names_the_manifest_and_its_checksum(fleet: Fleet):
    [node] = await fleet.nodes(1)
    await fleet.start()
    await fleet.step()
    [(to, request)] = fleet.sender.sent
    release = await OfferedReleases(fleet.source).find(None)
    assert (to, request.version, request.sha256) == (node, "0.2.0", release.sha256)
    assert request.url == "http://master/bundle/versions/0.2.0/manifest.json"


async def test_a_bad_version_stops_after_the_canary(fleet: Fleet):
    one, two = await fleet.nodes(2)
    upgrade = await fleet.start()
    await fleet.step()
    await fleet.reports(one, state="rolled_back", reason="port 20000 does not accept")
    await fleet.step()
    await fleet.step()
    shown = await fleet.shown(upgrade)
    assert (shown["state"], await fleet.states(upgrade)) == ("halted", {one: "rolled_back", two: "waiting"})
    assert shown["reason"].endswith("port 20000 does not accept")
    assert fleet.sender.nodes == [one]
    assert await fleet.events() == ["upgrade.started", "node.upgrade_failed", "upgrade.halted"]


async def test_a_halted_upgrade_goes_on_in_spite_of_its_failures_when_it_is_resumed(fleet: Fleet):
    one, two = await fleet.nodes(2)
    upgrade = await fleet.start()
    await fleet.step()
    await fleet.reports(one, state="rolled_back", reason="no")
    await fleet.step()
    resumed = await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 200, json={"state": "running"})
    assert (resumed["state"], resumed["reason"]) == ("running", None)
    await fleet.step()
    assert await fleet.states(upgrade) == {one: "rolled_back", two: "asked"}


async def test_a_paused_upgrade_asks_nobody_and_goes_on_where_it_was(fleet: Fleet):
    one, two = await fleet.nodes(2)
    upgrade = await fleet.start()
    await fleet.step()
    await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 200, json={"state": "paused"})
    await fleet.upgrades(one)
    assert await fleet.states(upgrade) == {one: "done", two: "waiting"}
    await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 200, json={"state": "running"})
    await fleet.step()
    assert await fleet.states(upgrade) == {one: "done", two: "asked"}


async def test_an_aborted_upgrade_asks_nobody_any_more_and_follows_those_that_were_asked(fleet: Fleet):
    one, two = await fleet.nodes(2)
    upgrade = await fleet.start()
    await fleet.step()
    await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 200, json={"state": "aborted"})
    await fleet.upgrades(one)
    assert await fleet.states(upgrade) == {one: "done", two: "skipped"}
    assert fleet.sender.nodes == [one]
    problem = await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 409, json={"state": "running"})
    assert (problem["type"], problem["state"]) == ("/problems/upgrade-ended", "aborted")
    assert "upgrade.aborted" in await fleet.events()


async def test_one_upgrade_runs_at_a_time_and_the_refusal_names_it(fleet: Fleet):
    await fleet.nodes(1)
    upgrade = await fleet.start()
    for path in ("/upgrades", "/upgrades?dry_run=true"):
        problem = await fleet.api.call("POST", path, 409, json={})
        assert (problem["type"], problem["upgrade_id"]) == ("/problems/upgrade-under-way", upgrade)


async def test_a_dry_run_lists_who_would_be_asked_in_which_order_and_why_others_are_skipped(fleet: Fleet):
    one, two, three = await fleet.nodes(3)
    [old] = await fleet.nodes(1, able=False)
    await fleet.api.proxy(one)
    await fleet.reports(three, online=False)
    await fleet.api.call("PATCH", f"/nodes/{two}", 200, json={"pinned_version": "0.1.0"})
    found = await fleet.api.call("POST", "/upgrades?dry_run=true", 200, json={"batch": "50%"})
    assert [(node["node_id"], node["state"]) for node in found["nodes"]] == [
        *((two, "skipped"), (old, "skipped"), (one, "waiting"), (three, "unreachable"))
    ]
    assert found["nodes"][0]["reason"] == "it is pinned to 0.1.0"
    assert (found["batch_size"], found["counts"]) == (1, {"skipped": 2, "waiting": 1, "unreachable": 1})
    assert (await fleet.api.call("GET", "/upgrades", 200))["items"] == []
    assert await fleet.events() == []


async def test_an_offline_node_is_asked_when_it_returns_after_the_upgrade_is_done(fleet: Fleet):
    one, two = await fleet.nodes(2)
    await fleet.reports(two, online=False)
    upgrade = await fleet.start()
    await fleet.step()
    await fleet.upgrades(one)
    await fleet.api.rows.execute("UPDATE upgrade_nodes SET at = at - interval '3 minutes'")
    await fleet.step()
    assert (await fleet.shown(upgrade))["state"] == "done"
    await fleet.reports(two)
    await fleet.step()
    assert await fleet.states(upgrade) == {one: "done", two: "asked"}
    newer = await fleet.start()
    assert await fleet.states(upgrade) == {one: "done", two: "skipped"}
    assert newer > upgrade


async def test_a_node_that_is_removed_meanwhile_holds_nothing_up(fleet: Fleet):
    one, two = await fleet.nodes(2)
    upgrade = await fleet.start()
    await fleet.step()
    await fleet.api.call("DELETE", f"/nodes/{one}", 204)
    await fleet.step()
    assert await fleet.states(upgrade) == {one: "skipped", two: "asked"}


async def test_two_masters_ask_a_node_once_and_one_goes_on_when_the_other_is_killed(fleet: Fleet):
    one, *_ = await fleet.nodes(3)
    upgrade = await fleet.start()
    await fleet.runner().step()
    await fleet.runner().step()
    assert fleet.sender.nodes == [one]
    request = fleet.sender.sent.pop()[1]  # that master was killed before it sent anything
    await fleet.step()
    assert fleet.sender.sent == []
    await fleet.api.rows.execute("UPDATE upgrade_nodes SET sent_at = sent_at - interval '16 seconds'")
    await fleet.step()
    assert fleet.sender.sent == [(one, request)]
    assert (await fleet.states(upgrade))[one] == "asked"


async def test_a_master_whose_manifest_no_trusted_key_signed_starts_nothing_and_carries_nothing_on(fleet: Fleet):
    await fleet.nodes(2)
    upgrade = await fleet.start()
    offer(fleet, BundleFolder(fleet.source.path, (strangers_key(),)))
    await fleet.step()
    shown = await fleet.shown(upgrade)
    assert (shown["state"], fleet.sender.sent) == ("running", [])
    assert "is not trusted: signed by" in shown["reason"]
    await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 200, json={"state": "aborted"})
    problem = await fleet.api.call("POST", "/upgrades", 409, json={})
    assert (problem["type"], problem["why"]) == ("/problems/no-release", "untrusted")


async def test_bundles_that_are_missing_unknown_or_changed_are_named(fleet: Fleet, tmp_path: Path):
    [node] = await fleet.nodes(1)
    problem = await fleet.api.call("POST", "/upgrades", 409, json={"version": "0.9.0"})
    assert (problem["why"], problem["known"]) == ("unknown-version", ["0.2.0", "0.1.0"])
    upgrade = await fleet.start()
    others = releases(tmp_path / "others", "0.2.0")
    write_release(tmp_path / "others", "0.2.0", key := new_key(), min_upgradable_from="0.0.9")
    offer(fleet, BundleFolder(others.path, (public_key(key),)))
    await fleet.step()
    assert "are others than those" in (await fleet.shown(upgrade))["reason"]
    assert await fleet.states(upgrade) == {node: "waiting"}
    offer(fleet, BundleFolder(tmp_path / "none", ()))
    await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 200, json={"state": "aborted"})
    assert (await fleet.api.call("POST", "/upgrades", 409, json={}))["why"] == "no-bundles"


async def test_an_earlier_version_is_offered_at_a_path_of_its_own(fleet: Fleet):
    [node] = await fleet.nodes(1, agent="0.2.0")
    await fleet.start(version="0.1.0", downgrade=True)
    await fleet.step()
    [(_, request)] = fleet.sender.sent
    assert (request.url, request.downgrade) == ("http://master/bundle/versions/0.1.0/manifest.json", True)
    assert fleet.sender.nodes == [node]


async def test_a_restored_database_pauses_the_upgrade_instead_of_repeating_it(fleet: Fleet):
    await fleet.nodes(1)
    upgrade = await fleet.start()
    async with writing(fleet.rows) as session:
        await pause_after_restore(session)
    shown = await fleet.shown(upgrade)
    assert (shown["state"], "restored" in shown["reason"]) == ("paused", True)
    await fleet.step()
    assert fleet.sender.sent == []
    await fleet.api.call("PATCH", f"/upgrades/{upgrade}", 200, json={"state": "running"})
    await fleet.api.rows.execute("UPDATE upgrades SET checked_at = now() - interval '2 hours'")
    await fleet.step()
    assert ((await fleet.shown(upgrade))["state"], fleet.sender.sent) == ("paused", [])
    assert (await fleet.events())[-1] == "upgrade.paused"


async def test_a_repeated_request_with_a_key_starts_one_upgrade(fleet: Fleet):
    await fleet.nodes(1)
    headers = {"Idempotency-Key": "once"}
    first = await fleet.api.call("POST", "/upgrades", 201, json={}, headers=headers)
    assert await fleet.api.call("POST", "/upgrades", 201, json={}, headers=headers) == first
    assert len((await fleet.api.call("GET", "/upgrades?state=running&version=0.2.0", 200))["items"]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"version": "newest"}, "/version"),
        ({"batch": "0%"}, "/batch"),
        ({"batch": 0}, "/batch"),
        ({"canary": -1}, "/canary"),
        ({"filter": {"location": "Nowhere"}}, "/filter/location"),
        ({"filter": {"state": "disabled"}}, "/filter"),
        ({"speed": 9}, "/speed"),
    ],
)
async def test_a_body_that_cannot_be_meant_is_refused_at_its_place(fleet: Fleet, body: dict[str, object], pointer: str):
    await fleet.nodes(1)
    problem = await fleet.api.call("POST", "/upgrades", 422, json=body)
    assert problem["errors"][0]["pointer"].startswith(pointer)


async def test_a_pinned_node_shows_its_version_and_can_be_released(api: Api):
    node = await api.node()
    assert (await api.call("PATCH", f"/nodes/{node}", 200, json={"pinned_version": "0.1.0"}))[
        "pinned_version"
    ] == "0.1.0"
    assert (await api.call("PATCH", f"/nodes/{node}", 200, json={"pinned_version": None}))["pinned_version"] is None
    await api.call("PATCH", f"/nodes/{node}", 422, json={"pinned_version": "latest"})
