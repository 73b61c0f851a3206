"""The page is live, or says that it is not."""

import asyncio
import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.settled import settled
from tests.cluster.cluster import Cluster, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

TABS = 8
SOON_MS, BACK_MS = 10_000, 60_000
IS_LIVE = re.compile(r"live\W+[\d,.]+ \w+ behind\W+event")
IS_CUT = re.compile(r"cut off since \d+:\d\d:\d\d[ \w]*, showing what was known then")
COLLECT = """() => {
    window.events = [];
    window.stream = new BroadcastChannel("maybe.stream");
    window.stream.onmessage = ({ data }) => {
        for (const one of data.news ?? []) if (one.type === "event") window.events.push(one.event.id);
    };
}"""
"""Notes what the tab that reads the stream gives to all tabs."""
HAS_SEEN = """(id) => {
    const [, seen] = document.querySelector("footer .live").innerText.match(/event ([\\d,]+)/) ?? [];
    return Number(seen?.replaceAll(",", "")) >= id;
}"""


async def test_a_master_that_dies_and_returns_costs_no_reload_and_no_event_and_the_footer_says_so(
    visit: Visit, demo: Cluster
):
    page = await visit("/#/nodes", by_curl=False)  # the master dies while it answers
    await settled(page)
    await expect(footer(page)).to_contain_text(IS_LIVE, timeout=SOON_MS)
    await page.evaluate(COLLECT)
    first = await changed(demo, "before")
    await page.wait_for_function("(id) => window.events.includes(id)", arg=first, timeout=SOON_MS)
    await demo.kill("master")
    try:
        await expect(footer(page)).to_contain_text(IS_CUT, timeout=SOON_MS)
    finally:
        await demo.start("master")
    last = [await changed(demo, f"missed-{number}") for number in range(3)][-1]
    await page.wait_for_function("(id) => window.events?.at(-1) >= id", arg=last, timeout=BACK_MS)
    await expect(footer(page)).to_contain_text(IS_LIVE, timeout=SOON_MS)
    received: list[int] = await page.evaluate("window.events")
    assert received[: received.index(last) + 1] == await ids_between(demo, received[0], last)
    visit.watched[0].console.clear()  # the browser reports each call that failed meanwhile


async def test_eight_tabs_at_once_are_all_live_over_one_stream(visit: Visit, demo: Cluster):
    first = await visit("/#/nodes")
    await expect(footer(first)).to_contain_text(IS_LIVE, timeout=SOON_MS)
    streams: list[str] = []
    first.context.on("request", lambda asked: streams.append(asked.url) if is_stream(asked.headers) else None)
    tabs = [first, *[await first.context.new_page() for _ in range(TABS - 1)]]
    async with asyncio.TaskGroup() as group:
        for tab in tabs[1:]:
            group.create_task(tab.goto("/#/nodes"))
    for tab in tabs:
        await expect(footer(tab)).to_contain_text(IS_LIVE, timeout=SOON_MS)
        await tab.evaluate(COLLECT)
    event = await changed(demo, "eight-tabs")
    for tab in tabs:
        await tab.wait_for_function("(id) => window.events.includes(id)", arg=event, timeout=SOON_MS)
        await tab.wait_for_function(HAS_SEEN, arg=event, timeout=SOON_MS)
    assert streams == []


def footer(page: Page) -> Locator:
    return page.get_by_role("contentinfo")


def is_stream(headers: dict[str, str]) -> bool:
    return headers.get("accept") == "text/event-stream"


async def changed(demo: Cluster, value: str) -> int:
    """Change a location; return the id of the event."""
    succeeded(await demo.api.patch("/locations/1", json={"labels": {"seen": value}}))
    listed = succeeded(await demo.api.get("/events", params={"type": "location.updated", "limit": 1000}))
    return listed.json()["items"][-1]["id"]


async def ids_between(demo: Cluster, first: int, last: int) -> list[int]:
    listed = succeeded(await demo.api.get("/events", params={"after": first - 1, "limit": 1000})).json()["items"]
    return [event["id"] for event in listed if event["id"] <= last]
