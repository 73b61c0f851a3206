"""What the page may do in a browser, and how much it loads."""

import pytest
from playwright.async_api import Page, Response, Route

from master.web.files import build
from master.web.first_load import unpacked
from master.web.page import page_html
from tests.browser.settled import settled
from tests.cluster.cluster import Cluster
from tests.web.conftest import Visit
from tests.web.test_screens import SCREENS, subjects_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
FIRST_BYTES, ALL_BYTES = 60_000, 125_000
"""As they are transferred, compressed: for the first screen, and for all of them."""
INJECT = """() => {
    const script = document.createElement("script");
    const tried = [
        () => { document.body.innerHTML = "<img src=x>"; },
        () => { script.textContent = "window.wasRun = true"; document.body.append(script); },
    ];
    return tried.map((act) => { try { act(); return "done"; } catch (error) { return error.name; } });
}"""


@pytest.mark.parametrize("path", ["/", "/api"])
async def test_both_pages_carry_the_policy_and_no_text_becomes_html_or_a_script(visit: Visit, demo: Cluster, path: str):
    answer = await demo.api.get(path)
    expected = {
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    assert {name: answer.headers.get(name) for name in expected} == expected
    page = await visit(path)
    assert await page.evaluate(INJECT) == ["TypeError", "TypeError"]
    visit.watched[0].console.clear()  # the browser reports both attempts


async def test_the_api_page_shows_the_calls_under_the_policy(visit: Visit):
    page = await visit("/api")
    await page.locator("#operations-Proxies-ListProxies, .opblock").first.wait_for()


async def test_the_page_works_from_its_sources_as_it_does_packed(visit: Visit, demo: Cluster):
    page = await visit("about:blank")
    scripts: list[str] = []
    page.on("request", lambda asked: scripts.append(asked.url) if asked.resource_type == "script" else None)
    await page.route(f"{demo.api.base_url}", answer_unpacked)
    for path in ("/#/proxies", "/#/settings"):
        await page.goto(path)
        await settled(page)
    assert [url for url in scripts if "/packed/" in url] == []
    assert any(url.endswith("/screens/others.js") for url in scripts)


async def answer_unpacked(route: Route) -> None:
    headers = {"content-security-policy": POLICY, "content-type": "text/html; charset=utf-8"}
    await route.fulfill(body=page_html(build(), unpacked()), headers=headers)


async def test_the_first_load_and_all_screens_together_stay_within_their_budgets(visit: Visit, demo: Cluster):
    page = await visit("about:blank")
    loaded = Loaded(page)
    await page.goto("/")
    await settled(page)
    first = await loaded.bytes()
    subjects = await subjects_of(demo)
    for screen in SCREENS:
        await page.evaluate("(hash) => { location.hash = hash; }", screen.format(**subjects))
        await settled(page)
    over = {"first": first - FIRST_BYTES, "all": await loaded.bytes() - ALL_BYTES}
    assert max(over.values()) <= 0, f"{over} over the budget: {await loaded.sizes()}"


class Loaded:
    """The files of the page that were loaded so far; answers of the API are not among them."""

    def __init__(self, page: Page) -> None:
        self.files: dict[str, Response] = {}
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        path = response.url.partition("://")[2].partition("/")[2]
        if path.startswith("ui/") or not path:
            self.files[path] = response

    async def sizes(self) -> dict[str, int]:
        return {name: (await one.request.sizes())["responseBodySize"] for name, one in list(self.files.items())}

    async def bytes(self) -> int:
        return sum((await self.sizes()).values())
