"""Shares of a proxy's traffic that are used up are told."""

from decimal import Decimal

import pytest

from tests.integration.conftest import Api
from tests.integration.domain.usage.conftest import Node, counted


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
    await api.rows.execute("UPDATE usage_totals SET day = day - 1")
    for table, column in (("usage_hours", "hour"), ("usage_thresholds", "began")):
        await api.rows.execute(f"UPDATE {table} SET {column} = {column} - interval '1 day'")
    await node.tell(counted(proxy, 180))
    assert await thresholds(api) == [(80, 100), (80, 200)]
    await node.tell(counted(proxy, 340))
    assert await thresholds(api) == [(80, 100), (80, 200), (80, 200)]


async def quota(api: Api, proxy: int) -> tuple[int, int] | None:
    """(used, limit) in bytes."""
    shown = (await api.call("GET", f"/proxies/{proxy}", 200))["usage"]["quota"]
    return shown and (shown["used_bytes"], shown["limit_bytes"])


async def test_a_proxy_shows_how_much_of_its_traffic_limit_is_used(api: Api, node: Node, proxy: int):
    await node.tell(counted(proxy, 300, 100))
    assert await quota(api, proxy) is None
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"limits": {"traffic_bytes": 1000}})
    assert await quota(api, proxy) == (400, 1000)
    await node.tell(counted(proxy, 500, 100), counted(proxy, 7, epoch=2))
    assert await quota(api, proxy) == (607, 1000)
    assert await api.rows.fetchval("SELECT quota_percent FROM proxy_resources") == Decimal("60.7")


@pytest.mark.parametrize(("period", "earlier"), [("day", 1), ("month", 35)])
async def test_a_quota_is_unused_when_its_period_begins(api: Api, node: Node, proxy: int, period: str, earlier: int):
    limits = {"traffic_bytes": 1000, "traffic_period": period}
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"limits": limits})
    await node.tell(counted(proxy, 400))
    assert await quota(api, proxy) == (400, 1000)
    await api.rows.execute("UPDATE usage_totals SET day = day - $1::integer, month = month - $1::integer", earlier)
    assert await quota(api, proxy) == (0, 1000)
    await node.tell(counted(proxy, 450))
    assert await quota(api, proxy) == (50, 1000)


async def test_a_removed_proxy_leaves_no_totals(api: Api, node: Node, proxy: int):
    await node.tell(counted(proxy, 400))
    await api.call("DELETE", f"/proxies/{proxy}", 204)
    await node.tell(counted(proxy, 500))
    assert await api.rows.fetchval("SELECT count(*) FROM usage_totals") == 0
