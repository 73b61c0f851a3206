"""Customers, stacks and locations: what is done to them is tried out first, and is what was seen."""

import json
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.settled import settled
from tests.cluster.cluster import Cluster, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_MS = 15_000
ACME = {"label": "customer:acme", "limit": 100}


async def test_a_customer_is_sold_proxies_suspended_and_taken_back_each_in_one_rehearsed_call(
    visit: Visit, demo: Cluster
):
    page = await visit("/#/customers")
    await settled(page)
    await sell(page)
    shown = dialog(page).locator("pre")
    await expect(shown).to_be_visible(timeout=SOON_MS)
    sold = await proxies(demo)
    assert (await shown.inner_text()).split() == [url for one in sold for url in one["urls"]]
    assert len(sold) == 2
    await dialog(page).get_by_role("button", name="Close").click()
    await select(page, "acme")
    await do(page, "Suspend", re.compile("Matches 2, changes 2"))
    assert [one["enabled"] for one in await proxies(demo)] == [False, False]
    await page.get_by_role("region", name="Selection").get_by_role("button", name="More").click()
    await do(page, "Take back", re.compile("Matches 2, changes 2"))
    assert await proxies(demo) == []


async def test_a_stack_is_scaled_to_what_its_rehearsal_showed_and_its_json_put_again_changes_nothing(
    visit: Visit, demo: Cluster
):
    stack = succeeded(await demo.api.get("/stacks/by-name/rotating")).json()
    page = await visit(f"/#/stacks/{stack['id']}?tab=template")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await settled(page)
    await page.get_by_role("button", name="Scale").click()
    await dialog(page).get_by_role("spinbutton").fill(str(stack["count"] + 2))
    await expect(dialog(page).locator("tfoot")).to_have_text(re.compile("Total2"), timeout=SOON_MS)
    await dialog(page).get_by_role("button", name="Scale").click()
    await expect(page.get_by_role("main")).to_contain_text(f"wanted {stack['count'] + 2}", timeout=SOON_MS)
    await page.get_by_role("button", name="Copy the JSON").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible(timeout=SOON_MS)
    body = json.loads(await page.evaluate("navigator.clipboard.readText()"))
    put = succeeded(await demo.api.put("/stacks/by-name/rotating", json=body)).json()
    assert (put["count"], put["version"]) == (stack["count"] + 2, stack["version"] + 1)


async def test_a_rebalance_is_shown_from_node_to_node_before_it_begins(visit: Visit, demo: Cluster):
    location = succeeded(await demo.api.get("/locations", params={"name": "Frankfurt"})).json()["items"][0]
    path = f"/locations/{location['id']}/rebalance?dry_run=true"
    moves = succeeded(await demo.api.post(path, json={"max_moves": 3})).json()["moves"]
    page = await visit("/#/locations")
    await settled(page)
    await select(page, "Frankfurt")
    await page.get_by_role("button", name="Rebalance").click()
    await dialog(page).locator("[name=max_moves]").fill("3")
    await expect(dialog(page)).to_contain_text(f"{len(moves)} proxies would move.", timeout=SOON_MS)
    cells = await dialog(page).locator("tbody td").all_inner_texts()
    assert sum(int(cell) for cell in cells) == len(moves) == 3


async def sell(page: Page) -> None:
    await page.get_by_role("button", name="Sell", exact=True).click()
    await dialog(page).get_by_label("Customer (label customer)").fill("acme")
    await dialog(page).get_by_label("From").select_option(label="trial")
    await dialog(page).locator("[name=count]").fill("2")
    await dialog(page).get_by_role("button", name="Sell 2 proxies").click(timeout=SOON_MS)


async def select(page: Page, name: str) -> None:
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
    await row.get_by_role("checkbox").check(timeout=SOON_MS)


async def do(page: Page, action: str, seen: re.Pattern[str]) -> None:
    await page.get_by_role("button", name=action, exact=True).click()
    await expect(dialog(page)).to_contain_text(seen, timeout=SOON_MS)
    await dialog(page).get_by_role("button", name=action, exact=True).click()
    await expect(dialog(page)).to_be_hidden(timeout=SOON_MS)


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


async def proxies(demo: Cluster) -> list[dict[str, Any]]:
    return succeeded(await demo.api.get("/proxies", params=ACME)).json()["items"]
