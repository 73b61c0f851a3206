"""The web page with 20,000 proxies: first rows, a filter's answer, and the heap while 50 events a second arrive.

    ./dev python -m tests.bench.page [ROUNDS] [MINUTES]

The fleet is made by SQL; a real master in a process of its own serves it. Each round is a first visit. Told are the
median and the range. The heap is read after a garbage collection, every minute.
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from playwright.async_api import Browser, CDPSession, Page

from tests.bench.grounds import with_database, with_master
from tests.browser.chromium import browser, ensure_chromium
from tests.browser.watched import watched_context

PROXIES = 20_000
EVENTS_A_SECOND, LANES = 50, 5
FILTERS = ("label=customer:7", "state=failed", "protocol=socks5", "q=user1234")
"""One filter a round, each different from the one before."""
ROWS = '[role="row"][aria-rowindex]'
NOTE_ROWS = f"""
new MutationObserver((_, observer) => {{
    if (document.querySelectorAll('{ROWS}').length < 5) return;
    window.firstRows = performance.now();
    observer.disconnect();
}}).observe(document, {{childList: true, subtree: true}});
"""
FILTER = """async (filter) => {
    const table = document.querySelector('[aria-rowcount]');
    const before = table.getAttribute('aria-rowcount');
    const began = performance.now();
    location.hash = `#/proxies?${filter}`;
    const isAnswered = (table) => {
        const count = table?.getAttribute('aria-rowcount');
        return count > 0 && count !== before && table.getAttribute('aria-busy') !== 'true';
    };
    while (!isAnswered(document.querySelector('[aria-rowcount]'))) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""
"""Milliseconds from the change of the address to the first frame that has the rows and the count of the filter."""


async def main(rounds: int, minutes: int) -> None:
    async with fleet() as origin, browser(await ensure_chromium(print)) as opened:
        first, filtered = [], []
        for number in range(rounds):
            async with watched_context(opened, origin) as (context, _):
                await context.add_init_script(NOTE_ROWS)
                page = await context.new_page()
                first.append(await first_rows(page))
                filtered.append(await page.evaluate(FILTER, FILTERS[number % len(FILTERS)]))
        told("first rows", first)
        told("a filter's answer", filtered)
        await watch_heap(opened, origin, minutes)


async def first_rows(page: Page) -> float:
    """Return the milliseconds from the start of the visit to the first rows."""
    await page.goto("/#/proxies")
    await page.wait_for_function("() => window.firstRows")
    return await page.evaluate("window.firstRows")


def told(what: str, values: list[float]) -> None:
    print(f"{what}: {statistics.median(values):.0f} ms ({min(values):.0f}-{max(values):.0f}, {len(values)} rounds)")


async def watch_heap(opened: Browser, origin: str, minutes: int) -> None:
    async with watched_context(opened, origin) as (context, _):
        page = await context.new_page()
        await page.goto("/#/proxies")
        devtools = await context.new_cdp_session(page)
        await page.wait_for_selector(ROWS)
        print(f"heap at the start: {await heap(devtools)}")
        async with asyncio.TaskGroup() as group:
            changes = group.create_task(change(origin))
            for minute in range(1, minutes + 1):
                await asyncio.sleep(60)
                print(f"heap after {minute} min: {await heap(devtools)}, {await footer(page)}", flush=True)
            changes.cancel()


async def heap(devtools: CDPSession) -> str:
    await devtools.send("HeapProfiler.collectGarbage")
    used = (await devtools.send("Runtime.getHeapUsage"))["usedSize"]
    counted = await devtools.send("Memory.getDOMCounters")
    return f"{used / 1e6:.1f} MB, {counted['nodes']} DOM nodes"


async def footer(page: Page) -> str:
    return " ".join((await page.get_by_role("contentinfo").inner_text()).split())


async def change(origin: str) -> None:
    """Change proxies, so that so many events a second arise."""
    async with httpx.AsyncClient(base_url=origin, trust_env=False) as http, asyncio.TaskGroup() as group:
        for lane in range(LANES):
            group.create_task(change_in_turn(http, lane))


async def change_in_turn(http: httpx.AsyncClient, lane: int) -> None:
    """Change every so many proxies one after the other."""
    began = time.monotonic()
    for made in itertools.count():
        number = made * LANES + lane
        body = {"labels": {"seen": str(number)}}
        (await http.patch(f"/proxies/{1 + number * 7 % PROXIES}", json=body)).raise_for_status()
        await asyncio.sleep(max(0.0, began + (made + 1) * LANES / EVENTS_A_SECOND - time.monotonic()))


@asynccontextmanager
async def fleet() -> AsyncIterator[str]:
    """Provide the address of a master with the fleet."""
    async with with_database() as database:
        async with database.connection() as rows:
            await rows.execute((Path(__file__).parent / "page.sql").read_text())
        async with with_master(database) as (origin, _):
            yield origin


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in [*sys.argv[1:], "9", "10"][:2])))
