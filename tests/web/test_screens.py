"""Each screen in both languages, both colour schemes and two widths: accessible, and never scrolled sideways.

The fixture `visit` adds: no message on the console, and no request to another host.
"""

from typing import Literal

import pytest
from playwright.async_api import Page

from tests.browser.axe import violations
from tests.browser.settled import settled
from tests.browser.watched import HEIGHTS, Look
from tests.cluster.cluster import Cluster, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCREENS = (
    "/",
    "/nodes",
    "/nodes/enrol",
    "/nodes/invitations",
    "/nodes/{held}",
    "/nodes/{offline}",
    "/proxies",
    "/proxies/create",
    "/proxies/{failed}",
    "/proxies/{sold}",
    "/stacks",
    "/stacks/{stack}",
    "/upgrades",
    "/upgrades/{upgrade}",
    "/customers",
    "/locations",
    "/events",
    "/usage",
    "/lookup",
    "/lookup?ip=127.0.0.1&port={port}",
    "/links",
    "/webhooks",
    "/settings",
)
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_every_screen_is_accessible_fits_its_width_and_changes_nothing_by_being_looked_at(
    visit: Visit, demo: Cluster, language: Literal["en", "ru"]
):
    page = await visit("/", Look(language))
    subjects = await subjects_of(demo)
    faults: list[str] = []
    page.on("request", lambda asked: faults.append(f"{asked.method} {asked.url}") if asked.method != "GET" else None)
    for screen in SCREENS:
        await page.evaluate("(hash) => { location.hash = hash; }", screen.format(**subjects))
        for width, height in HEIGHTS.items():
            await page.set_viewport_size({"width": width, "height": height})
            await settled(page)
            faults += [f"{screen} at {width}: {fault}" for fault in await faults_of(page)]
    assert faults == []


async def faults_of(page: Page) -> list[str]:
    """Return the faults of the screen at this width. Of the dark scheme only colours differ."""
    found = await violations(page)
    await page.emulate_media(color_scheme="dark")
    found += [f"dark: {fault}" for fault in await violations(page, only="color-contrast")]
    await page.emulate_media(color_scheme="light")
    beyond = await page.evaluate(SIDEWAYS)
    return [*found, *([f"scrolls sideways by {beyond} px"] if beyond else [])]


async def subjects_of(demo: Cluster) -> dict[str, int]:
    """Ids of resources that have something to show."""

    async def first(path: str) -> int:
        return succeeded(await demo.api.get(path)).json()["items"][0]["id"]

    nodes = succeeded(await demo.api.get("/nodes")).json()["items"]
    return {
        "held": next(node["id"] for node in nodes if node["name"] == "waw-1"),
        "offline": next(node["id"] for node in nodes if node["name"] == "nyc-1"),
        "failed": await first("/proxies?name=taken-port"),
        "sold": await first("/proxies?label=customer:3"),
        "stack": await first("/stacks"),
        "upgrade": await first("/upgrades"),
        "port": succeeded(await demo.api.get("/proxies?label=customer:3")).json()["items"][0]["port"],
    }
