"""The largest sums, also by label, and the days that they are read from."""

from datetime import timedelta

import pytest

from master.db.database import Database
from master.domain.usage import service as usage
from tests.integration.conftest import Api
from tests.integration.domain.usage.conftest import Node, sums

LONG_AGO = "2025-01-01T00:00:00Z"


async def used(api: Api, proxy: int, hour: str, sent: int, refused: str = '{"login": 1}', node: int = 1) -> None:
    await api.rows.execute(
        "INSERT INTO usage_hours VALUES ($1, $2, $3::text::timestamptz,"
        " (SELECT location_id FROM nodes WHERE id = $2), 1, $4, 0, $5::text::jsonb)",
        *(proxy, node, hour, sent, refused),
    )


async def of_customer(api: Api, node: Node, customer: str | None) -> int:
    labels = {} if customer is None else {"customer": customer}
    return (await api.proxy(node.id, labels=labels))["id"]


async def rolled(rows: Database) -> None:
    async with rows.session() as session:
        await usage.roll_up(session)


async def test_customers_stand_in_the_order_of_their_bytes_removed_proxies_included(api: Api, node: Node):
    small, large, gone, nobodys = [await of_customer(api, node, name) for name in ("7", "8", "7", None)]
    for proxy, sent in ((small, 10), (large, 15), (gone, 20), (nobodys, 1)):
        await used(api, proxy, LONG_AGO, sent)
    await api.call("DELETE", f"/proxies/{gone}", 204)
    found = await sums(api, "by=label:customer&sort=-bytes")
    assert [(one["labels"], one["sent_bytes"]) for one in found] == [
        ({"customer": "7"}, 30),
        ({"customer": "8"}, 15),
        ({"customer": None}, 1),
    ]
    assert [one["refused"] for one in found] == [{"login": 2}, {"login": 1}, {"login": 1}]
    await api.call("PATCH", f"/proxies/{small}", 200, json={"labels": {"customer": "8"}})
    assert [one["sent_bytes"] for one in await sums(api, "by=label:customer&sort=-bytes&limit=1")] == [25]
    assert [one["sent_bytes"] for one in await sums(api, "label=customer:7")] == [20]


async def test_the_largest_sums_are_the_same_before_and_after_hours_become_days(api: Api, node: Node, rows: Database):
    proxies = [await of_customer(api, node, name) for name in ("7", "8")]
    hours = ("2025-01-01T00:00Z", "2025-01-01T23:00Z", "2025-01-02T10:00Z", "2025-01-03T09:00Z")
    for place, hour in enumerate(hours):
        for proxy in proxies:
            await used(api, proxy, hour, 10**place * proxy)
    queries = [
        f"by={by}&sort=-bytes{since}{until}"
        for by in ("label:customer", "proxy,day", "location,hour", "")
        for since in ("", "&from=2025-01-01T12:00:00Z")
        for until in ("", "&to=2025-01-02T00:00:00Z", "&to=2025-01-02T11:00:00Z")
    ]
    before = [await sums(api, query) for query in queries]
    for _ in range(2):
        await rolled(rows)
        assert [await sums(api, query) for query in queries] == before
    assert await api.rows.fetchval("SELECT count(*) FROM usage_days") == 3 * len(proxies)
    await used(api, proxies[0], "2025-01-03T10:00Z", 7)
    assert sum(one["sent_bytes"] for one in await sums(api, "sort=-bytes")) == 7 + sum(
        one["sent_bytes"] for one in before[-6]
    )


async def test_the_hour_that_lasts_is_no_part_of_its_day_yet(api: Api, node: Node, proxy: int, rows: Database):
    await api.rows.execute(
        "INSERT INTO usage_hours VALUES ($1, 1, date_trunc('hour', now()), NULL, 1, 1, 0, '{}')", proxy
    )
    await rolled(rows)
    assert await api.rows.fetchval("SELECT count(*) FROM usage_days") == 0


async def test_hours_are_folded_only_once_their_day_is_rolled_up(api: Api, node: Node, proxy: int, rows: Database):
    await used(api, proxy, "2025-01-01T10:00Z", 5)
    async with rows.session() as session:
        assert await session.execute("usage.fold", kept=timedelta(days=90), max_rows=10) == 0
        await usage.forget(session)
    assert await api.rows.fetchval("SELECT hour::text FROM usage_hours") == "2025-01-01 10:00:00+00"
    await used(api, proxy, "2025-01-02T10:00Z", 5)
    async with rows.session() as session:
        await usage.forget(session)
    assert [one["sent_bytes"] for one in await sums(api, "by=day&sort=-bytes")] == [5, 5]
    assert [one["sent_bytes"] for one in await sums(api, "by=day")] == [5, 5]


async def test_a_sum_by_location_is_of_the_nodes_that_were_there(api: Api, node: Node, proxy: int):
    here = await api.location()
    await used(api, proxy, LONG_AGO, 1)
    await api.call("PATCH", f"/nodes/{node.id}", 200, json={"location_id": here})
    await used(api, proxy, "2025-01-01T01:00:00Z", 2)
    found = {one["location_id"]: one["sent_bytes"] for one in await sums(api, "by=location")}
    assert found == {None: 1, here: 2}


async def test_pages_by_label_follow_each_other_without_a_gap_or_a_double(api: Api, node: Node):
    for name in ("7", "8", None, "7", ""):
        await used(api, await of_customer(api, node, name), LONG_AGO, 1)
    found: list[object] = []
    after = ""
    while after is not None:
        page = await api.call("GET", f"/usage?by=label:customer&limit=1{after and '&after=' + after}", 200)
        found += [one["labels"]["customer"] for one in page["items"]]
        after = page["next"]
    assert found == [None, "", "7", "8"]


@pytest.mark.parametrize("query", ["sort=bytes", "by=label:a,label:b", "sort=-bytes&after=WzAsMCwwLDAsMCwiIl0"])
async def test_lists_that_cannot_be_made_are_refused(api: Api, query: str):
    await api.call("GET", f"/usage?{query}", 422)
