"""A page whose console and requests are watched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request

LOCAL_SCHEMES = ("data", "blob", "about")


@dataclass
class Watched:
    """What a page, and each further tab of it, said on its console and asked of other hosts."""

    origin: str
    console: list[str] = field(default_factory=list[str])
    outside: list[str] = field(default_factory=list[str])

    def follow(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", self._failed)

    def requested(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in LOCAL_SCHEMES and not request.url.startswith(f"{self.origin}/"):
            self.outside.append(request.url)

    def _heard(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")

    def _failed(self, error: Error) -> None:
        self.console.append(f"uncaught: {error.message}")


@asynccontextmanager
async def watched_context(
    browser: Browser, origin: str, **options: object
) -> AsyncIterator[tuple[BrowserContext, Watched]]:
    """Provide a fresh context, like a first visit, and what is noticed in it."""
    context = await browser.new_context(base_url=origin, **options)  # type: ignore[arg-type] # options of Playwright
    watched = Watched(origin)
    context.on("request", watched.requested)
    context.on("page", watched.follow)
    try:
        yield context, watched
    finally:
        await context.close()
