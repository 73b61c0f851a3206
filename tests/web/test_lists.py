"""What operators of other panels complain of, each a promise of this one."""

import json
import re

import pytest
from playwright.async_api import Page, Response, expect

from tests.browser.settled import settled
from tests.cluster.cluster import Cluster, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOST_NODES, MOST_ROWS = 3_000, 60
SOON_MS = 15_000
NUMBER_FONTS = """() => [...document.querySelectorAll('[role=gridcell].end')]
    .filter((cell) => /^[0-9.,]+$/.test(cell.innerText))
    .map((cell) => getComputedStyle(cell).fontVariantNumeric)"""


async def test_a_list_is_read_by_the_page_and_keeps_only_the_rows_in_sight(visit: Visit):
    page = await visit("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/proxies?" in request.url else None)
    await page.goto("/#/proxies")
    await settled(page)
    assert asked
    assert all(int(re.findall(r"limit=(\d+)", url)[0]) <= 200 for url in asked)
    assert await page.get_by_role("row").count() < MOST_ROWS
    assert await page.evaluate("document.querySelectorAll('*').length") < MOST_NODES


async def test_lists_never_carry_a_password(visit: Visit, demo: Cluster):
    page = await visit("about:blank")
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if "/proxies?" in answer.url else None)
    await page.goto("/#/proxies")
    await settled(page)
    texts = [await answer.text() for answer in answers]
    passwords = {one["password"] for one in json.loads(await all_proxies(demo))["items"]} - {None}
    assert texts
    assert not any(password in text for text in texts for password in passwords)


async def test_numbers_keep_their_width_while_they_change(visit: Visit):
    page = await visit("/#/nodes")
    await settled(page)
    assert set(await page.evaluate(NUMBER_FONTS)) == {"tabular-nums"}


async def test_an_export_is_of_exactly_the_filter_that_is_shown_negation_included(visit: Visit, demo: Cluster):
    page = await visit("/#/proxies?stack=eu-http&not.label=customer&sort=-id")
    await settled(page)
    await page.get_by_role("button", name="Export").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name=re.compile("JSON", re.IGNORECASE)).click()
    exported = json.loads((await (await download.value).path()).read_text())
    query = {"stack": "eu-http", "not.label": "customer", "limit": 1000}
    shown = succeeded(await demo.api.get("/proxies", params=query)).json()["items"]
    assert 0 < len(exported) == len(shown)
    assert {one["port"] for one in exported} == {one["port"] for one in shown}


async def test_a_bulk_action_removes_a_label_from_the_whole_filter_after_a_rehearsal(visit: Visit, demo: Cluster):
    page = await visit("/#/proxies?stack=trial")
    await settled(page)
    await page.get_by_role("checkbox", name="Select the rows that are loaded").check()
    await page.get_by_role("button", name="Label", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.locator("[name=labels]").fill("tier:null")
    await expect(dialog).to_contain_text(re.compile(r"Matches 8.*Total\s*8"), timeout=SOON_MS)
    assert await with_label(demo, "tier:trial") == 8
    await dialog.get_by_role("button", name="Label", exact=True).click()
    await expect(dialog).to_be_hidden(timeout=SOON_MS)
    assert await with_label(demo, "tier:trial") == 0


async def test_a_list_is_sorted_by_the_api_in_both_directions(visit: Visit):
    page = await visit("/#/nodes")
    await settled(page)
    by_name = page.get_by_role("columnheader", name=re.compile("^Name")).get_by_role("button")
    names: list[list[str]] = []
    for direction in ("ascending", "descending"):
        await by_name.click()
        await expect(page.get_by_role("columnheader", name=re.compile("^Name"))).to_have_attribute(
            "aria-sort", direction
        )
        await settled(page)
        names.append(await first_cells(page))
    assert names[0] == sorted(names[0])
    assert names[1] == names[0][::-1]


async def test_everything_is_asked_of_one_origin_and_no_web_socket_is_opened(visit: Visit):
    page = await visit("about:blank")
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await page.goto("/#/nodes")
    await settled(page)
    assert sockets == []


async def first_cells(page: Page) -> list[str]:
    rows = page.get_by_role("row").filter(has=page.get_by_role("gridcell"))
    return [(await row.get_by_role("link").first.inner_text()).strip() for row in await rows.all()]


async def all_proxies(demo: Cluster) -> str:
    return succeeded(await demo.api.get("/proxies", params={"limit": 1000})).text


async def with_label(demo: Cluster, label: str) -> int:
    return len(succeeded(await demo.api.get("/proxies", params={"label": label, "limit": 1000})).json()["items"])
