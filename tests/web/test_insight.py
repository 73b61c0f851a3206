"""The log of events, usage, and who it was."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.browser.settled import settled
from tests.cluster.cluster import Cluster, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_MS = 10_000


async def test_events_come_as_they_happen_and_wait_while_the_log_is_paused(visit: Visit, demo: Cluster):
    page = await visit("/#/events?type=location.updated")
    await settled(page)
    await update_location(demo, "first")
    newest = page.locator("[aria-rowindex='2'] time")
    await expect(newest).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"), timeout=SOON_MS)
    shown = await page.get_by_role("row").count()
    await page.keyboard.press("p")
    await update_location(demo, "second")
    await expect(page.get_by_role("main")).to_contain_text("1 new event", timeout=SOON_MS)
    assert await page.get_by_role("row").count() == shown
    await page.keyboard.press("p")
    await expect(page.get_by_role("row")).to_have_count(shown + 1)


async def test_a_log_whose_beginning_is_forgotten_says_since_when(visit: Visit):
    page = await visit("about:blank")
    await page.route(re.compile(r"/events\?after=1&limit=1$"), answer_forgotten)
    await page.goto("/#/events?until=2026-01-01T00:00:00Z")
    await expect(page.locator(".empty")).to_contain_text("Events before 3 Nov 2026 are forgotten", timeout=SOON_MS)


async def test_usage_names_the_top_customers_and_stacks_the_chosen_groups(visit: Visit):
    page = await visit("/#/usage?by=customer&span=week")
    await settled(page)
    await expect(page.locator(".u-legend")).to_contain_text("others", timeout=SOON_MS)
    top = page.locator("tr", has=page.get_by_role("link", name="17", exact=True))
    await expect(top).to_contain_text(re.compile(r"\d+%"))


async def test_who_it_was_is_told_with_the_customer_and_the_makers(visit: Visit, demo: Cluster):
    proxy: dict[str, Any] = succeeded(await demo.api.get("/proxies?label=customer:3")).json()["items"][0]
    page = await visit("/#/lookup")
    await page.get_by_label("IP address").fill(f"{proxy['host']}:{proxy['port']}")
    await page.keyboard.press("Enter")
    found = page.locator(".holder")
    await expect(found).to_contain_text("customer:3", timeout=SOON_MS)
    await expect(found).to_contain_text("proxy.created", timeout=SOON_MS)
    assert await page.get_by_label(re.compile("^Port")).input_value() == str(proxy["port"])


async def test_a_time_outside_the_history_is_not_answered_with_nobody(visit: Visit, demo: Cluster):
    days = succeeded(await demo.api.get("/system")).json()["retention"]["history_days"]
    at = (datetime.now(UTC) - timedelta(days=days + 2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    page = await visit(f"/#/lookup?ip=127.0.0.1&port=1&at={at}")
    await settled(page)
    await expect(page.get_by_role("main")).to_contain_text("before the history that is kept")
    await expect(page.get_by_role("main")).not_to_contain_text("No proxy had")


async def update_location(demo: Cluster, value: str) -> None:
    succeeded(await demo.api.patch("/locations/1", json={"labels": {"insight": value}}))


async def answer_forgotten(route: Route) -> None:
    oldest = {"id": 500, "at": "2026-11-03T04:00:00Z"}
    await route.fulfill(json={"items": [oldest], "next": 500, "reset": "forgotten"})
