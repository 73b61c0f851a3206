"""When a screen of the page is complete."""

from playwright.async_api import Page

LIMIT_MS = 15_000
COMPLETE = """() => !document.querySelector("main [aria-busy=true]")
    && ![...document.querySelectorAll("main *")].some((it) => !it.childElementCount && it.textContent === "…")"""


async def settled(page: Page) -> None:
    """Wait until the screen has its heading, its data and its names. Raises TimeoutError of Playwright."""
    await page.locator("main h1").first.wait_for(timeout=LIMIT_MS)
    await page.wait_for_function(COMPLETE, timeout=LIMIT_MS)
