"""The page of an API that needs tokens: it asks for one, works with it, and asks again when it is revoked."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.watched import watched_context
from tests.integration.domain.tokens.test_tokens import bearer
from tests.master.api_servers import Master, master
from tests.services.postgres import PostgreSQL

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def closed(postgres: PostgreSQL, template: str) -> AsyncIterator[tuple[Master, str]]:
    """A master without nodes, and its admin token."""
    database = await postgres.create("maybe_login", template=template)
    async with master(database) as served:
        made = await served.http.post("/tokens", json={"name": "admin", "scopes": ["admin"]})
        yield served, made.json()["token"]
    await postgres.drop("maybe_login")


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, closed: tuple[Master, str]) -> AsyncIterator[Page]:
    """A first visit."""
    async with watched_context(browser, str(closed[0].http.base_url).rstrip("/")) as (context, _):
        yield await context.new_page()


async def log_in(page: Page, token: str) -> None:
    """Give the page a token."""
    await page.get_by_label("Token", exact=True).fill(token)
    await page.get_by_role("button", name="Log in").click()


async def test_the_page_asks_for_a_token_and_works_with_it_until_it_is_revoked(
    page: Page, closed: tuple[Master, str]
) -> None:
    served, admin = closed
    made = (await served.http.post("/tokens", json={"name": "own", "scopes": ["admin"]}, headers=bearer(admin))).json()
    await page.goto("/#/settings")
    await log_in(page, made["token"][:-1] + "!")
    await expect(page.get_by_role("alert")).to_contain_text("letters and digits")
    await log_in(page, made["token"])
    await expect(page.get_by_text("This browser uses the token own.")).to_be_visible()
    await expect(page.locator(".live")).to_have_class(re.compile(r"\blive\b.*\blive\b"))
    await page.reload()
    await expect(page.get_by_text("This browser uses the token own.")).to_be_visible()
    await served.http.delete(f"/tokens/{made['id']}", headers=bearer(admin))
    await expect(page.get_by_label("Token", exact=True)).to_be_visible(timeout=15_000)


async def test_tokens_are_created_shown_once_and_revoked(page: Page, closed: tuple[Master, str]) -> None:
    served, admin = closed
    await page.goto("/#/settings")
    await log_in(page, admin)
    await page.get_by_role("button", name="Create a token").click()
    dialog = page.get_by_role("dialog")
    await dialog.locator("[data-field=name] input").fill("shop")
    await dialog.get_by_role("group", name="scopes").get_by_text("read", exact=True).click()
    await dialog.get_by_role("button", name="Create", exact=True).click()
    shown = page.get_by_text(re.compile("^mp_[0-9A-Za-z]{36}$"))
    await expect(shown).to_be_visible()
    token = (await shown.text_content() or "").strip()
    assert (await served.http.get("/tokens/current", headers=bearer(token))).json()["name"] == "shop"
    await page.get_by_role("dialog").get_by_role("button", name="Close").first.click()
    await page.get_by_role("row", name=re.compile("^shop")).get_by_role("button", name="Revoke").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("row", name=re.compile("^shop"))).to_have_count(0)
    assert (await served.http.get("/tokens/current", headers=bearer(token))).status_code == 401


async def test_an_export_is_saved_with_the_token_and_logging_out_forgets_it(
    page: Page, closed: tuple[Master, str]
) -> None:
    await page.goto("/#/proxies")
    await log_in(page, closed[1])
    await page.get_by_role("button", name="Export").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="CSV").click()
    assert (await download.value).suggested_filename == "proxies.csv"
    await page.goto("/#/settings")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert closed[1] not in await page.evaluate("JSON.stringify(localStorage)")


@pytest.mark.long
async def test_the_documentation_has_a_field_for_the_token(page: Page, closed: tuple[Master, str]) -> None:
    await page.goto("/api")
    await page.get_by_role("button", name="Authorize").first.click()
    await page.get_by_label("auth-bearer-value").fill(closed[1])
    await page.locator(".auth-btn-wrapper").get_by_role("button", name=re.compile("Apply|Authorize")).click()
    await page.locator(".auth-btn-wrapper").get_by_role("button", name="Close").click()
    block = page.locator("#operations-tokens-show_current_token")
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Try it out").click()
    await block.get_by_role("button", name="Execute").click()
    await expect(block.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
