"""The main job by keyboard alone."""

import asyncio
import shlex
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.acceptance.conftest import eventually
from tests.browser.keyboard import Keyboard
from tests.browser.settled import settled
from tests.cluster.cluster import Cluster, Node, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME, STACK, COUNT, FEWER = "key-1", "keyboard", 20, 10
DONE_MS, DONE_S = 30_000, 60


async def test_the_main_job_is_done_by_keyboard_alone_and_every_call_of_it_works_as_the_curl_line_of_the_page(
    visit: Visit, demo: Cluster
):
    page = await visit("/")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    keyboard, node = Keyboard(page), await demo.launch()
    await enrol(keyboard, demo, node)
    await make_stack(keyboard)
    await use_one(keyboard, demo)
    await check_and_rotate(keyboard, demo)
    await scale(keyboard, demo)
    await drain(keyboard, demo)
    written = {line.split()[2] for line in visit.curl.lines if line.startswith("curl -X")}
    assert written == {"POST", "PATCH"}


async def enrol(keyboard: Keyboard, demo: Cluster, node: Node) -> None:
    """Enrol the node by its real challenge, and try it with a proxy."""
    waiting = await demo.challenge(node)
    await keyboard.find("Enrol a node")
    for member in ("ip", "challenge"):
        await keyboard.fill(member, waiting[member])
    await open_details(keyboard, "Another port than 3006")
    await keyboard.fill("port", str(waiting["port"]))
    await keyboard.fill("location_id", "Frankfurt")
    await keyboard.fill("name", NAME)
    await open_details(keyboard, "Ports, most proxies and exits")
    await keyboard.fill("ports", node.ports.range)
    await keyboard.press("Enrol")
    await keyboard.press("Try it with a proxy")
    await expect(keyboard.page.get_by_text("It serves")).to_be_visible(timeout=DONE_MS)
    node.id = (await named(demo, "nodes"))["id"]


async def make_stack(keyboard: Keyboard) -> None:
    """Make a stack of proxies on the new node; the dry run beside the form says that they fit."""
    page = keyboard.page
    await keyboard.find("Create proxies")
    await keyboard.reach(page.get_by_label("Where"))
    await keyboard.write("Certain")
    await keyboard.reach(page.get_by_role("checkbox", name=NAME))
    await keyboard.keys("Space")
    await keyboard.reach(page.get_by_label("How many"))
    await keyboard.keys("Control+a")
    await keyboard.write(str(COUNT))
    await keyboard.reach(page.get_by_label("Name of the stack"))
    await keyboard.write(STACK)
    await expect(page.get_by_text(f"All {COUNT} proxies fit.")).to_be_visible(timeout=DONE_MS)
    await keyboard.press(f"Create {COUNT} proxies")
    await page.wait_for_url("**/#/stacks/*")


async def use_one(keyboard: Keyboard, demo: Cluster) -> None:
    """Copy the curl line of a proxy and run it, with this machine in place of the line's destination."""
    page = keyboard.page
    await keyboard.go("p", "Proxies")
    await keyboard.filter(f"stack={STACK}")
    await expect(page.get_by_role("main")).to_contain_text(f"{COUNT} matches", timeout=DONE_MS)
    await keyboard.keys("j", "Enter")
    await page.wait_for_url("**/#/proxies/*")
    await keyboard.press("Copy: curl")
    words = shlex.split(await page.evaluate("navigator.clipboard.readText()"))
    assert words[:2] == ["curl", "-x"]
    assert await output_of(*words[:-1], "-s", f"{demo.api.base_url}/health/live") == '{"status":"ok"}'


async def check_and_rotate(keyboard: Keyboard, demo: Cluster) -> None:
    page = keyboard.page
    proxy = page.url.rpartition("/")[2]
    await keyboard.press("Check now")
    await expect(page.get_by_text("It serves")).to_be_visible(timeout=DONE_MS)
    await keyboard.press("Rotate")
    await keyboard.press("Rotate", inside=dialog(page))
    await expect(dialog(page)).to_be_hidden(timeout=DONE_MS)

    async def is_rotated() -> bool:
        events = succeeded(await demo.api.get("/events", params={"proxy_id": proxy, "type": "proxy.rotated"}))
        return bool(events.json()["items"])

    await eventually(is_rotated, DONE_S)


async def scale(keyboard: Keyboard, demo: Cluster) -> None:
    """Scale the stack; the dry run says first what would go."""
    page = keyboard.page
    await keyboard.go("s", "Stacks")
    await keyboard.filter(f"name={STACK}")
    await expect(page.get_by_role("main")).to_contain_text("1 match", timeout=DONE_MS)
    await keyboard.keys("j", "Enter")
    await page.wait_for_url("**/#/stacks/*")
    await keyboard.press("Scale")
    await keyboard.reach(dialog(page).get_by_role("spinbutton"))
    await keyboard.keys("Control+a")
    await keyboard.write(str(FEWER))
    await keyboard.press("Scale", inside=dialog(page))
    await expect(dialog(page)).to_be_hidden(timeout=DONE_MS)
    assert (await named(demo, "stacks", STACK))["count"] == FEWER


async def drain(keyboard: Keyboard, demo: Cluster) -> None:
    page = keyboard.page
    await keyboard.go("n", "Nodes")
    await keyboard.filter(f"name={NAME}")
    await expect(page.get_by_role("main")).to_contain_text("1 match", timeout=DONE_MS)
    await keyboard.keys("j", "x")
    await keyboard.press("Drain")
    await keyboard.press("Drain", inside=dialog(page))
    await expect(dialog(page)).to_be_hidden(timeout=DONE_MS)
    await settled(page)
    assert (await named(demo, "nodes"))["state"] == "draining"


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


async def open_details(keyboard: Keyboard, words: str) -> None:
    await keyboard.reach(keyboard.page.locator("summary", has_text=words))
    await keyboard.keys("Enter")


async def named(demo: Cluster, kind: str, name: str = NAME) -> dict[str, Any]:
    return succeeded(await demo.api.get(f"/{kind}", params={"name": name})).json()["items"][0]


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(DONE_S):
        output, _ = await process.communicate()
    return output.decode()
