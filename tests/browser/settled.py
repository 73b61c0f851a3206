"""When a screen of the page is complete."""

from playwright.async_api import Page

LIMIT_MS = 15_000


async def settled(page: Page) -> None:
    """Wait until the screen has its heading and reads nothing any more. Raises TimeoutError of Playwright."""
    await page.locator("main h1").first.wait_for(timeout=LIMIT_MS)
    await page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')", timeout=LIMIT_MS)
