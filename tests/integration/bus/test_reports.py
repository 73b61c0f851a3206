"""What the master stores of reports, and what it says of them."""

import json
from contextlib import suppress
from typing import Any

import pytest

from master.db.database import Database
from master.sync.outbox import Outbox
from master.sync.reports import Reports
from shared.bus.failures import BusDown
from shared.messages.bodies import ProxyFailure, Report, UsageCounters
from shared.proxies import NodeId
from tests.integration.conftest import Api
from tests.master.one_link import OneLink

EMPTY = "0" * 16


def report(**more: Any) -> Report:
    return Report.model_validate(
        {"rev": 1, "seen": 1, "top": 0, "digest": EMPTY, "content": EMPTY, "count": 0, "running": 0, **more}
    )


@pytest.fixture
def reports(rows: Database) -> Reports:
    return Reports(rows, Outbox(rows, OneLink(), "c"))


async def take(reports: Reports, node_id: NodeId, said: Report) -> None:
    """Store it; the list that may be due goes nowhere, for there is no bus."""
    with suppress(BusDown):
        await reports.take(node_id, said, OneLink().connection)


async def events(api: Api, type_: str) -> list[dict[str, Any]]:
    return (await api.call("GET", f"/events?type={type_}", 200))["items"]


async def test_an_agent_that_goes_on_beside_a_younger_one_of_the_same_node_is_told_as_a_clone(
    api: Api, reports: Reports
):
    node_id = NodeId(await api.node())
    for session, number in ((1000, 1), (2000, 1), (1000, 2)):
        await take(reports, node_id, report(session=session, number=number))
    assert await events(api, "node.cloned") == []
    for number in (3, 4):
        await take(reports, node_id, report(session=1000, number=number))
    assert len(await events(api, "node.cloned")) == 1


async def test_a_report_that_comes_late_changes_nothing(api: Api, reports: Reports):
    node_id = NodeId(await api.node())
    await take(reports, node_id, report(session=1000, number=2, running=2))
    await take(reports, node_id, report(session=1000, number=1, running=1))
    assert (await api.call("GET", f"/nodes/{node_id}", 200))["status"]["running"] == 2


async def test_a_node_ahead_of_a_restored_database_lifts_revision_and_versions_above_all_it_saw(
    api: Api, reports: Reports
):
    node_id = NodeId(await api.node())
    proxy = await api.call("POST", "/proxies", 201, json={"node_ids": [node_id]})
    await take(reports, node_id, report(rev=90, seen=90, top=7, session=1000, number=1))
    assert (await api.call("GET", f"/nodes/{node_id}", 200))["revision"] > 90
    assert (await api.call("GET", f"/proxies/{proxy['id']}", 200))["version"] == 8
    assert len(await events(api, "node.database_rolled_back")) == 1


async def test_failures_are_complete_for_the_range_that_a_report_names_and_kept_outside_of_it(
    api: Api, reports: Reports
):
    node_id = NodeId(await api.node())
    ids = [(await api.call("POST", "/proxies", 201, json={"node_ids": [node_id]}))["id"] for _ in range(3)]
    failed = tuple(ProxyFailure(id=id_, version=1, reason="r") for id_ in ids)
    await take(reports, node_id, report(session=1000, number=1, failed=failed))
    await take(reports, node_id, report(session=1000, number=2, failed_from=0, failed_to=ids[1]))
    states = [(await api.call("GET", f"/proxies/{id_}", 200))["status"]["state"] for id_ in ids]
    assert [state == "failed" for state in states] == [False, False, True]
    assert [event["proxy_id"] for event in await events(api, "proxy.recovered")] == ids[:2]


async def test_failures_that_come_in_several_reports_are_counted_together(api: Api, reports: Reports):
    node_id = NodeId(await api.node())
    ids = [(await api.proxy(node_id))["id"] for _ in range(3)]
    kinds = zip(ids, ("failed", "limited", "expired"), strict=True)
    failed = [
        ProxyFailure.model_validate({"id": id_, "version": 1, "reason": "r", "kind": kind}) for id_, kind in kinds
    ]
    await take(reports, node_id, report(session=1000, number=1, failed=failed[:2], failed_to=ids[1]))
    await take(reports, node_id, report(session=1000, number=2, failed=failed[2:], failed_from=ids[1] + 1))
    status = (await api.call("GET", f"/nodes/{node_id}", 200))["status"]
    assert (status["failed"], status["limited"]) == (1, 2)


async def test_proxies_that_serve_nobody_are_told_once_by_what_they_are_and_again_when_they_serve(
    api: Api, reports: Reports
):
    node_id = NodeId(await api.node())
    id_ = (await api.proxy(node_id))["id"]
    spent = {"id": id_, "version": 1, "reason": "spent", "kind": "limited"}
    for number, failed in enumerate(([spent], [spent], [], []), start=1):
        await take(reports, node_id, report(session=1000, number=number, failed=failed))
    told = [(one["type"], one["details"]) for one in (await api.call("GET", "/events", 200))["items"]]
    assert told[-2:] == [
        ("proxy.limited", {"version": 1, "reason": "spent"}),
        ("proxy.recovered", {"was": "limited"}),
    ]


async def test_what_keeps_a_node_from_taking_changes_is_shown_and_told_once(api: Api, reports: Reports):
    node_id = NodeId(await api.node())
    for number, trouble in enumerate(("disk full", "disk full", "", ""), start=1):
        await take(reports, node_id, report(session=1000, number=number, trouble=trouble))
        assert (await api.call("GET", f"/nodes/{node_id}", 200))["status"]["trouble"] == (trouble or None)
    assert [one["details"] for one in await events(api, "node.troubled")] == [{"reason": "disk full"}]
    assert [one["details"] for one in await events(api, "node.recovered")] == [{"was": "disk full"}]


async def confirmation(rows: Database, node_id: NodeId) -> dict[str, Any]:
    """What a node reports that has applied all there is."""
    async with rows.session() as session:
        wanted = await session.row("sync.desired_digest", node_id=node_id)
    assert wanted is not None
    digests = {name: f"{int(wanted[name]) % 2**64:016x}" for name in ("digest", "content")}
    return {**dict.fromkeys(("rev", "seen", "done"), wanted["revision"]), **digests}


async def test_a_proxy_is_reported_running_once_after_its_creation_and_once_after_a_failure(
    api: Api, reports: Reports, rows: Database
):
    node_id = NodeId(await api.node())
    id_ = (await api.proxy(node_id))["id"]
    broken = {"id": id_, "version": 1, "reason": "port taken"}
    same = await confirmation(rows, node_id)
    for number, failed in enumerate([[], [], [broken], [broken], [], []], start=1):
        await take(reports, node_id, report(session=1000, number=number, failed=failed, **same))
    types = [event["type"] for event in (await api.call("GET", f"/events?proxy_id={id_}", 200))["items"]]
    assert types == ["proxy.created", "proxy.running", "proxy.failed", "proxy.recovered", "proxy.running"]
    [first, _] = await events(api, "proxy.running")
    assert first["details"] == {"version": 1}


async def test_a_proxy_that_is_disabled_is_not_reported_running(api: Api, reports: Reports, rows: Database):
    node_id = NodeId(await api.node())
    await api.proxy(node_id, enabled=False)
    await api.proxy(node_id)
    await api.call("PATCH", f"/nodes/{node_id}", 200, json={"state": "disabled"})
    await take(reports, node_id, report(session=1000, number=1, **await confirmation(rows, node_id)))
    assert await events(api, "proxy.running") == []


async def test_only_a_report_that_changes_what_is_shown_touches_anything(api: Api, reports: Reports, rows: Database):
    node_id = NodeId(await api.node())
    await api.proxy(node_id)
    heard: list[str] = []
    await api.rows.add_listener("maybe_reported", lambda _c, _p, _n, payload: heard.append(payload))
    same = await confirmation(rows, node_id)
    for number, running in enumerate([0, 0, 3, 3, 3], start=1):
        await take(reports, node_id, report(session=1000, number=number, running=running, **same))
    await api.rows.fetchval("SELECT 1")
    assert [json.loads(payload) for payload in heard] == [
        {"node_id": node_id, "after": 1, "until": 2},
        {"node_id": node_id, "after": 2, "until": 2},
    ]


async def test_nodes_with_new_figures_are_touched_together(api: Api, reports: Reports):
    node_ids = [NodeId(await api.node()) for _ in range(2)]
    heard: list[str] = []
    await api.rows.add_listener("maybe_touched", lambda _c, _p, _n, payload: heard.append(payload))
    usage = (UsageCounters(id=1, epoch=1, received_bytes=1, sent_bytes=1, connections=1),)
    for node_id in node_ids:
        await take(reports, node_id, report(session=1000, number=1, usage=usage))
    await reports.touch_figures()
    await reports.touch_figures()
    await api.rows.fetchval("SELECT 1")
    assert [json.loads(payload) for payload in heard] == [{"kind": "nodes", "ids": node_ids}]
