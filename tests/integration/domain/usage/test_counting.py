"""Counters are summed up once, whatever becomes of reports."""

import asyncio
import random

import pytest

from master.db.database import Database
from master.domain.usage import service as usage
from master.sync.outbox import Outbox
from master.sync.reports import Reports
from shared.proxies import MAX_BIGINT
from tests.integration.conftest import Api
from tests.integration.domain.usage.conftest import SUMS, Node, counted, sent, sums
from tests.master.one_link import OneLink


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


async def test_two_masters_that_hear_the_same_node_at_once_count_once(api: Api, node: Node, proxy: int, rows: Database):
    masters = [Node(node.id, Reports(rows, Outbox(rows, OneLink(), "c"))) for _ in range(2)]
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
    monkeypatch.setattr(usage, "MAX_EPOCHS", 5)
    for epoch in range(1, 20):
        await node.tell(counted(proxy, 1, epoch=epoch))
    assert await sent(api) == 5
