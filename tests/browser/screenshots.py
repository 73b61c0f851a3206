"""`./dev screenshots`: takes the pictures of the documents from a demo fleet of its own, into docs/images."""

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser

from tests.browser.chromium import browser, ensure_chromium
from tests.browser.settled import settled
from tests.browser.watched import PLAIN, Look, watched_context
from tests.cluster.launched import Launched, launcher
from tests.launch.registry import ROOT
from tests.services.programs import ProgramError

FOLDER = ROOT / "docs/images"
HEIGHT = 720
NOTICED_S = 120.0
"""Limit until the master has noticed the lost node and has counted some traffic."""


@dataclass(frozen=True)
class Picture:
    """A screen by its address, and how it looks."""

    name: str
    path: str
    look: Look = PLAIN


PICTURES = (
    Picture("overview", "/"),
    Picture("proxies", "/proxies?label=tier:gold"),
    Picture("proxy", "/proxies/{proxy}", Look(theme="dark")),
    Picture("node", "/nodes/{held}"),
    Picture("create", "/proxies/create?location_id=1&count=20", Look(language="ru")),
    Picture("overview-narrow", "/", Look(width=390, theme="dark")),
)


def main() -> int:
    """Run `./dev screenshots`. Exit codes: 0 done, 1 failed."""
    try:
        path = asyncio.run(ensure_chromium(say))
        with launcher() as launched:
            say("starting a demo fleet")
            launched.up("--demo")
            wait_until_noticed(launched)
            asyncio.run(take_all(launched, path))
    except ProgramError as error:
        say(f"failed: {error}")
        return 1
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def wait_until_noticed(launched: Launched) -> None:
    """Wait until the lost node counts as offline and others report connections. Raises ProgramError."""
    say("waiting until the lost node counts as offline, and the others have reported traffic")
    deadline = time.monotonic() + NOTICED_S
    while not (has_offline_node(launched) and open_connections(launched)):
        if time.monotonic() > deadline:
            raise ProgramError(f"no node was offline, or no connection open, within {NOTICED_S:.0f} s")
        time.sleep(1)


def has_offline_node(launched: Launched) -> bool:
    return any(node["status"]["state"] == "offline" for node in launched.ask("GET", "/nodes")["items"])


def open_connections(launched: Launched) -> int:
    groups = launched.ask("GET", "/proxies/count?by=node&live=true")["items"]
    return sum(group["connections"] or 0 for group in groups)


async def take_all(launched: Launched, path: Path) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    subjects = subjects_of(launched)
    async with browser(path) as opened:
        for picture in PICTURES:
            await take(opened, launched.api, picture, subjects)


def subjects_of(launched: Launched) -> dict[str, int]:
    """Return the ids of what the pictures show."""
    held = next(node["id"] for node in launched.ask("GET", "/nodes")["items"] if node["status"]["held"])
    proxy = launched.ask("GET", "/proxies?label=customer:3&limit=1")["items"][0]["id"]
    return {"held": held, "proxy": proxy}


async def take(opened: Browser, origin: str, picture: Picture, subjects: dict[str, int]) -> None:
    async with watched_context(opened, origin, picture.look) as (context, _):
        page = await context.new_page()
        await page.goto(f"/#{picture.path.format(**subjects)}")
        await page.set_viewport_size({"width": picture.look.width, "height": HEIGHT})
        await settled(page)
        file = FOLDER / f"{picture.name}.png"
        await page.screenshot(path=file, animations="disabled", caret="hide")
        say(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
