"""Counters that nodes tell become sums that never go backwards and count nothing twice."""

import asyncio
import random
from typing import Any

import pytest

from master import usage
from master.broker import Broker
from master.db import Database
from master.outbox import Outbox
from master.reports import Reports
from shared.messages import Report, Usage
from shared.proxies import MAX_BIGINT, NodeId
from tests.integration.conftest import Api
from tests.integration.test_reports import EMPTY, take

SUMS = ("received_bytes", "sent_bytes", "connections", "refused")


class Node:
    """Tells counters, each report under a number of its own."""

    def __init__(self, id_: int, reports: Reports) -> None:
        self.id, self._reports, self._number = NodeId(id_), reports, 0

    async def tell(self, *counters: Usage, number: int | None = None) -> None:
        self._number += 1
        said = {"rev": 1, "seen": 1, "top": 0, "digest": EMPTY, "content": EMPTY, "count": 0, "running": 0}
        told = {"session": 1000, "number": number or self._number, "usage": counters}
        await take(self._reports, self.id, Report.model_validate({**said, **told}))


def counted(id_: int, sent: int, received: int = 0, *, epoch: int = 1, **more: Any) -> Usage:
    return Usage(id=id_, epoch=epoch, sent_bytes=sent, received_bytes=received, **more)


async def sums(api: Api, query: str = "") -> list[dict[str, Any]]:
    return (await api.call("GET", f"/usage?{query}", 200))["items"]


async def sent(api: Api, query: str = "") -> int:
    return sum(one["sent_bytes"] for one in await sums(api, query))


@pytest.fixture
def reports(rows: Database, broker: Broker) -> Reports:
    return Reports(rows, Outbox(rows, broker, "c"))


@pytest.fixture
async def node(api: Api, reports: Reports) -> Node:
    return Node(await api.node(), reports)


@pytest.fixture
async def proxy(api: Api, node: Node) -> int:
    return (await api.proxy(node.id, name="mine"))["id"]


async def test_what_a_node_counts_is_summed_up(api: Api, node: Node, proxy: int):
    await node.tell(counted(proxy, 100, 7, connections=2, refused={"login": 3}))
    await node.tell(counted(proxy, 150, 9, connections=5, refused={"login": 3, "quota": 1}))
    [total] = await sums(api)
    assert {name: total[name] for name in SUMS} == {
        "sent_bytes": 150,
        "received_bytes": 9,
        "connections": 5,
        "refused": {"login": 3, "quota": 1},
    }
    assert total["proxy_id"] is None


async def test_a_counter_that_is_told_twice_late_or_in_any_order_counts_once(api: Api, node: Node, proxy: int):
    told = [counted(proxy, sent, epoch=epoch) for epoch in (1, 2, 3) for sent in range(100, 1100, 100)]
    dice = random.Random(4)
    dice.shuffle(told)
    for one in told + told:
        before = await sent(api)
        await node.tell(one)
        assert before <= await sent(api) <= 3000
    assert await sent(api) == 3000


async def test_two_masters_that_hear_the_same_node_at_once_count_once(
    api: Api, node: Node, proxy: int, rows: Database, broker: Broker
):
    masters = [Node(node.id, Reports(rows, Outbox(rows, broker, "c"))) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        for sent_bytes in range(100, 2100, 100):
            for master in masters:
                group.create_task(master.tell(counted(proxy, sent_bytes), counted(proxy, sent_bytes, epoch=2)))
    assert await sent(api) == 4000


async def test_a_report_that_comes_late_may_still_raise_counters(api: Api, node: Node, proxy: int):
    await node.tell(counted(proxy, 100), number=9)
    await node.tell(counted(proxy, 130), number=5)
    assert await sent(api) == 130


async def test_one_life_told_twice_in_a_report_counts_once(api: Api, node: Node, proxy: int):
    await node.tell(counted(proxy, 100), counted(proxy, 300), counted(proxy, 200))
    assert await sent(api) == 300


async def test_a_database_that_went_back_counts_the_difference_once(api: Api, node: Node, proxy: int):
    await node.tell(counted(proxy, 100))
    await api.rows.execute("UPDATE usage_counters SET sent_bytes = 40")
    await api.rows.execute("UPDATE usage_hours SET sent_bytes = 40")
    for _ in range(2):
        await node.tell(counted(proxy, 110))
    assert await sent(api) == 110


async def test_an_idle_counter_that_is_told_again_writes_no_row(api: Api, node: Node, proxy: int):
    await node.tell(counted(proxy, 100))
    before = await api.rows.fetch("SELECT xmin, ctid FROM usage_counters UNION ALL SELECT xmin, ctid FROM usage_hours")
    await node.tell(counted(proxy, 100))
    after = await api.rows.fetch("SELECT xmin, ctid FROM usage_counters UNION ALL SELECT xmin, ctid FROM usage_hours")
    assert before == after


async def test_the_last_counters_of_a_removed_proxy_still_arrive_under_its_name(api: Api, node: Node, proxy: int):
    await api.call("DELETE", f"/proxies/{proxy}", 204)
    await node.tell(counted(proxy, 100))
    [one] = await sums(api, "by=proxy")
    assert (one["proxy_id"], one["proxy_name"], one["sent_bytes"]) == (proxy, "mine", 100)


async def test_a_node_tells_of_its_own_proxies_only(api: Api, node: Node, proxy: int, reports: Reports):
    stranger = Node(await api.node(), reports)
    await stranger.tell(counted(proxy, 100), counted(999, 100))
    assert await sums(api) == []
    await node.tell(counted(proxy, 100))
    await stranger.tell(counted(proxy, 500))
    assert await sent(api) == 100


async def test_a_proxy_that_changed_its_node_is_counted_on_both(api: Api, node: Node, proxy: int, reports: Reports):
    await node.tell(counted(proxy, 100, epoch=1))
    other = Node(await api.node(), reports)
    await api.rows.execute("UPDATE proxies SET node_id = $1", other.id)
    await other.tell(counted(proxy, 10, epoch=2))
    await node.tell(counted(proxy, 105, epoch=1))
    found = {one["node_id"]: one["sent_bytes"] for one in await sums(api, "by=proxy,node")}
    assert found == {node.id: 105, other.id: 10}


async def test_absurd_numbers_break_nothing_and_end_at_the_largest(api: Api, node: Node, proxy: int):
    absurd = {f"r{i}": MAX_BIGINT for i in range(32)}
    for epoch in (1, 2, 3):
        await node.tell(counted(proxy, MAX_BIGINT, MAX_BIGINT, epoch=epoch, connections=MAX_BIGINT, refused=absurd))
    [total] = await sums(api, "by=proxy,day")
    assert (total["sent_bytes"], total["refused"]["r1"]) == (MAX_BIGINT, MAX_BIGINT)


async def test_lives_of_one_counter_are_bounded(api: Api, node: Node, proxy: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usage, "MOST_EPOCHS", 5)
    for epoch in range(1, 20):
        await node.tell(counted(proxy, 1, epoch=epoch))
    assert await sent(api) == 5


async def spread(api: Api, node: Node, proxies: list[int], *hours: str) -> None:
    """One byte more for each proxy in each hour."""
    for hour in hours:
        for proxy in proxies:
            await api.rows.execute(
                "INSERT INTO usage_hours VALUES ($1, $2, $3::text::timestamptz, NULL, 0, 1, 0, '{\"login\": 1}')",
                proxy,
                node.id,
                hour,
            )


async def test_sums_are_by_time_and_by_thing_and_filtered(api: Api, node: Node, proxy: int):
    other = (await api.proxy(node.id))["id"]
    await spread(api, node, [proxy, other], "2026-01-01T10:00Z", "2026-01-01T11:00Z", "2026-01-02T10:00Z")
    days = [(one["day"], one["sent_bytes"]) for one in await sums(api, "by=day")]
    assert days == [("2026-01-01", 4), ("2026-01-02", 2)]
    hours = [(one["hour"], one["proxy_id"]) for one in await sums(api, f"by=hour,proxy&proxy_id={proxy}")]
    assert hours == [(f"2026-01-0{day}:00:00Z", proxy) for day in ("1T10", "1T11", "2T10")]
    assert await sent(api, "from=2026-01-01T11:00:00Z&to=2026-01-02T10:00:00Z") == 2
    assert await sums(api, "location_id=1") == []
    assert [one["refused"] for one in await sums(api, "by=node")] == [{"login": 6}]


async def test_pages_follow_each_other_without_a_gap_or_a_double(api: Api, node: Node, proxy: int):
    other = (await api.proxy(node.id))["id"]
    await spread(api, node, [proxy, other], "2026-01-01T10:00Z", "2026-01-01T11:00Z", "2026-01-02T10:00Z")
    for by in ("by=proxy,hour", "by=day,node,proxy", "by=node", ""):
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next": ""}
        while page["next"] is not None:
            after = f"&after={page['next']}" if page["next"] else ""
            page = await api.call("GET", f"/usage?{by}&limit=1{after}", 200)
            found += page["items"]
        assert found == await sums(api, by)


@pytest.mark.parametrize(
    "query", ["by=planet", "by=hour,day", "by=proxy&by=node", "from=yesterday", "after=x", "to=2026-01-01"]
)
async def test_what_cannot_be_summed_up_is_refused(api: Api, query: str):
    await api.call("GET", f"/usage?{query}", 422)


async def test_hours_of_long_ago_become_days_and_lose_nothing(api: Api, node: Node, proxy: int, rows: Database):
    await spread(api, node, [proxy], "2025-01-01T00:00Z", "2025-01-01T11:00Z", "2025-01-01T23:00Z", "2025-01-02T01:00Z")
    for _ in range(2):
        async with rows.session() as session:
            await usage.forget(session)
        assert await api.rows.fetchval("SELECT count(*) FROM usage_hours") == 2
        days = [(one["day"], one["sent_bytes"], one["refused"]) for one in await sums(api, "by=day")]
        assert days == [("2025-01-01", 3, {"login": 3}), ("2025-01-02", 1, {"login": 1})]


async def test_counters_of_long_gone_proxies_are_forgotten_and_not_taken_anew(
    api: Api, node: Node, proxy: int, rows: Database
):
    await node.tell(counted(proxy, 100))
    await api.call("DELETE", f"/proxies/{proxy}", 204)
    await api.rows.execute("UPDATE former_proxies SET left_at = now() - interval '91 days'")
    async with rows.session() as session:
        await usage.forget(session)
    assert await api.rows.fetchval("SELECT count(*) FROM usage_counters") == 0
    await node.tell(counted(proxy, 100))
    assert await sent(api) == 100


async def thresholds(api: Api) -> list[tuple[int, int]]:
    """(percent, limit in bytes) of those that were passed, in order."""
    events = (await api.call("GET", "/events?type=usage.threshold", 200))["items"]
    return [(event["details"]["percent"], event["details"]["limit_bytes"]) for event in events]


async def test_a_share_of_the_traffic_that_is_used_is_told_once(api: Api, node: Node, proxy: int):
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"limits": {"traffic_bytes": 1000}})
    await node.tell(counted(proxy, 500, 299))
    assert await thresholds(api) == []
    await node.tell(counted(proxy, 500, 300))
    await node.tell(counted(proxy, 500, 300))
    await node.tell(counted(proxy, 600, 300), number=1)
    assert await thresholds(api) == [(80, 1000)]
    await node.tell(counted(proxy, 600, 400))
    await node.tell(counted(proxy, 900, 400))
    assert await thresholds(api) == [(80, 1000), (100, 1000)]


async def test_both_shares_may_be_passed_at_once_and_in_a_late_report(api: Api, node: Node, proxy: int):
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"limits": {"traffic_bytes": 1000}})
    await node.tell(number=9)
    await node.tell(counted(proxy, 5000), number=1)
    assert await thresholds(api) == [(80, 1000), (100, 1000)]


async def test_a_raised_limit_and_a_new_period_have_shares_of_their_own(api: Api, node: Node, proxy: int):
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"limits": {"traffic_bytes": 100, "traffic_period": "day"}})
    await node.tell(counted(proxy, 90))
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"limits": {"traffic_bytes": 200}})
    await node.tell(counted(proxy, 170))
    assert await thresholds(api) == [(80, 100), (80, 200)]
    for table, column in (("usage_hours", "hour"), ("usage_thresholds", "began")):
        await api.rows.execute(f"UPDATE {table} SET {column} = {column} - interval '1 day'")
    await node.tell(counted(proxy, 180))
    assert await thresholds(api) == [(80, 100), (80, 200)]
    await node.tell(counted(proxy, 340))
    assert await thresholds(api) == [(80, 100), (80, 200), (80, 200)]
