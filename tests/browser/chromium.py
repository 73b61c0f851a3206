"""Chromium of this machine: found, or installed by the system's package manager."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.services.installing import install
from tests.services.programs import ProgramError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
GIVEN = "MAYBE_TEST_CHROMIUM"
"""Environment variable with the path of a browser."""
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


async def ensure_chromium(report: Callable[[str], None]) -> Path:
    """Return the path of a browser, installed if necessary. Raises ProgramError when none can be had."""
    found = find_chromium()
    if found is None:
        await install("chromium", report)
        found = find_chromium()
    if found is None:
        raise ProgramError(f"no Chromium was found after its installation; name one by {GIVEN}")
    return found


def find_chromium() -> Path | None:
    given = os.environ.get(GIVEN)
    if given:
        return Path(given)
    named = next((path for name in NAMES if (path := shutil.which(name))), None)
    placed = next((place for place in PLACES if Path(place).exists()), None)
    found = named or placed
    return Path(found) if found else None


@asynccontextmanager
async def browser(path: Path) -> AsyncIterator[Browser]:
    """Run the browser with a user data folder of its own. As root it has no sandbox, which Chromium demands."""
    flags = [*FLAGS, *(["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else [])]
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield opened
        finally:
            await opened.close()
