"""A page whose console and requests are watched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, ViewportSize

HEIGHTS = {1280: 900, 390: 844}
LOCAL_SCHEMES = ("data", "blob", "about")


@dataclass(frozen=True)
class Look:
    """How a visitor's browser is set: its language, its colour scheme and its width in pixels."""

    language: Literal["en", "ru"] = "en"
    theme: Literal["light", "dark"] = "light"
    width: int = 1280

    @property
    def size(self) -> ViewportSize:
        return {"width": self.width, "height": HEIGHTS[self.width]}


PLAIN = Look()


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
    browser: Browser, origin: str, look: Look = PLAIN
) -> AsyncIterator[tuple[BrowserContext, Watched]]:
    """Provide a fresh context, like a first visit, and what is noticed in it."""
    locale = {"en": "en-GB", "ru": "ru-RU"}[look.language]
    context = await browser.new_context(
        base_url=origin,
        locale=locale,
        color_scheme=look.theme,
        viewport=look.size,
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    watched = Watched(origin)
    context.on("request", watched.requested)
    context.on("page", watched.follow)
    try:
        yield context, watched
    finally:
        await context.close()
