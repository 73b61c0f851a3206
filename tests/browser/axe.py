"""Accessibility of a page, by axe-core: what violates WCAG 2 and the rules of good practice."""

from functools import cache
from typing import Any

from playwright.async_api import Page

from tests.launch.registry import ROOT

SOURCE = ROOT / ".dev/web/node_modules/axe-core/axe.min.js"
"""Installed by `./dev test` and `./dev pytest`, from the lock file of the page."""
RUN = "() => axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)"


@cache
def source() -> str:
    return SOURCE.read_text()


async def violations(page: Page) -> list[str]:
    """Return each violated rule with the elements that violate it. Never blocked by the page's policy."""
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(source())
    return [described(one) for one in await page.evaluate(RUN)]


def described(violation: dict[str, Any]) -> str:
    places = ", ".join(str(node["target"][0]) for node in violation["nodes"][:3])
    return f"{violation['id']}: {violation['help']} at {places}"
