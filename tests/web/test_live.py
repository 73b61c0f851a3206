"""The page is live, or says that it is not."""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.settled import settled
from tests.cluster.cluster import Cluster, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

TABS = 8
SOON_MS, BACK_MS = 10_000, 40_000
IS_LIVE, IS_CUT = (
    re.compile(r"live · .* behind"),
    re.compile(r"cut off since \d\d:\d\d:\d\d, showing what was known then"),
)


async def test_a_master_that_dies_and_returns_costs_no_reload_and_no_event_and_the_footer_says_so(
    visit: Visit, demo: Cluster
):
    page = await visit("/#/events")
    await settled(page)
    await expect(footer(page)).to_contain_text(IS_LIVE, timeout=SOON_MS)
    await page.evaluate("window.sameVisit = true")
    await demo.kill("master")
    await expect(footer(page)).to_contain_text(IS_CUT, timeout=SOON_MS)
    await demo.start("master")
    missed = [await changed(demo, f"missed-{number}") for number in range(3)]
    await expect(footer(page)).to_contain_text(IS_LIVE, timeout=BACK_MS)
    for event in missed:
        await expect(page.get_by_role("row", name=re.compile(rf"\b{event}\b"))).to_be_visible(timeout=SOON_MS)
    assert await page.evaluate("window.sameVisit")
    visit.watched[0].console.clear()  # the browser reports each failed call


async def test_eight_tabs_at_once_are_all_live_over_one_stream(visit: Visit, demo: Cluster):
    first = await visit("/#/events")
    streams: list[str] = []
    first.context.on("request", lambda asked: streams.append(asked.url) if is_stream(asked.headers) else None)
    tabs = [first, *[await first.context.new_page() for _ in range(TABS - 1)]]
    async with asyncio.TaskGroup() as group:
        for tab in tabs[1:]:
            group.create_task(tab.goto("/#/events"))
    for tab in tabs:
        await expect(footer(tab)).to_contain_text(IS_LIVE, timeout=SOON_MS)
    event = await changed(demo, "eight-tabs")
    for tab in tabs:
        await expect(tab.get_by_role("row", name=re.compile(rf"\b{event}\b"))).to_be_visible(timeout=SOON_MS)
    assert streams == []


def footer(page: Page):
    return page.get_by_role("contentinfo")


def is_stream(headers: dict[str, str]) -> bool:
    return headers.get("accept") == "text/event-stream"


async def changed(demo: Cluster, value: str) -> int:
    """Change a location; return the id of the event."""
    succeeded(await demo.api.patch("/locations/1", json={"labels": {"seen": value}}))
    listed = succeeded(await demo.api.get("/events", params={"type": "location.updated", "order": "desc", "limit": 1}))
    return listed.json()["items"][0]["id"]
