"""Sums of usage: by time, by thing, and for how long."""

from typing import Any

import pytest

from master.db.database import Database
from master.domain.usage import service as usage
from tests.integration.conftest import Api
from tests.integration.domain.usage.conftest import Node, counted, sent, sums


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
