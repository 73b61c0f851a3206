"""Accessibility of a page, by axe-core: what violates WCAG 2 and the rules of good practice."""

from functools import cache
from typing import Any

from playwright.async_api import Page

from tests.launch.registry import ROOT

SOURCE = ROOT / ".dev/web/node_modules/axe-core/axe.min.js"
"""Installed by `./dev test` and `./dev pytest`, from the lock file of the page."""
RUN = """async (rule) => {
    const rules = rule ? { runOnly: [rule] } : {};
    return (await axe.run(document, { ...rules, resultTypes: ["violations"], elementRef: false })).violations;
}"""


@cache
def source() -> str:
    return SOURCE.read_text()


async def violations(page: Page, only: str | None = None) -> list[str]:
    """Return each violated rule, or whether this one is, with the elements that violate it.

    The page's policy does not keep this script out: it comes by the protocol of the developer tools.
    """
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(source())
    return [described(one) for one in await page.evaluate(RUN, only)]


def described(violation: dict[str, Any]) -> str:
    places = ", ".join(str(node["target"][0]) for node in violation["nodes"][:3])
    return f"{violation['id']}: {violation['help']} at {places}"
