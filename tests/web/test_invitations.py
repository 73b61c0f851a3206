"""Inviting nodes: a code that is shown once, and the list of who comes in."""

import re
from typing import Literal

import pytest
from playwright.async_api import expect

from shared.enrolment.invitation import read_invitation
from tests.browser.axe import violations
from tests.browser.settled import settled
from tests.browser.watched import Look
from tests.cluster.cluster import Cluster, succeeded
from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_MS = 10_000
WORDS = {
    "en": ("Invite nodes", "Create", "Done: watch who comes in", "nobody yet", "Invitation", "Delete invitation"),
    "ru": (
        "Пригласить узлы",
        "Создать",
        "Готово: смотреть, кто подключается",
        "пока никто",
        "Приглашение",
        "Удалить приглашение",
    ),
}


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_a_code_is_shown_once_then_the_invitation_is_watched_and_removed(
    visit: Visit, demo: Cluster, language: Literal["en", "ru"]
):
    invite, create, done, nobody, one, remove = WORDS[language]
    page = await visit("/#/nodes/invitations", Look(language, theme="dark" if language == "ru" else "light"))
    await page.get_by_role("button", name=invite).first.click()
    dialog = page.get_by_role("dialog")
    await dialog.locator("input[type=number]").first.fill("3")
    assert await violations(page) == []
    await dialog.get_by_role("button", name=create, exact=True).click()
    code = dialog.locator("pre.command").last
    await expect(code).to_contain_text("NODE_INVITATION=", timeout=SOON_MS)
    shown = re.search(r"NODE_INVITATION=(\S+)", await code.inner_text())
    assert shown is not None
    invitation = read_invitation(shown[1])
    assert await violations(page) == []
    await dialog.get_by_role("button", name=done).click()
    panel = page.locator("section.panel", has=page.get_by_role("heading", name=f"{one} {invitation.id}", exact=True))
    await expect(panel).to_contain_text(nobody, timeout=SOON_MS)
    await settled(page)
    assert shown[1] not in await page.content()
    assert await violations(page) == []
    await panel.get_by_role("button", name=f"{remove} {invitation.id}").click()
    await dialog.get_by_role("button", name=re.compile("Delete|Удалить")).click()
    await expect(panel).to_have_count(0, timeout=SOON_MS)
    items = succeeded(await demo.api.get("/invitations")).json()["items"]
    assert invitation.id not in [one["id"] for one in items]
