"""One browser and one demo fleet for all browser tests of a run."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.chromium import browser as running_browser
from tests.browser.chromium import ensure_chromium
from tests.browser.watched import PLAIN, Look, Watched, watched_context
from tests.cluster.cluster import Cluster, cluster
from tests.launch.demo.demo import MASTER_SETTINGS, demo_cluster
from tests.services.folders import Folder
from tests.services.postgres import PostgreSQL
from tests.services.programs import ProgramError
from tests.services.rabbitmq import RabbitMQ
from tests.services.sources import Where

Visit = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(where: Where) -> AsyncIterator[Browser]:
    """Chromium; without one, and where none can be installed, the tests are skipped."""
    try:
        path = await ensure_chromium(where.report)
    except ProgramError as error:
        pytest.skip(f"no Chromium can be had here: {error}")
    async with running_browser(path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def demo(where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, browser: Browser) -> AsyncIterator[Cluster]:
    """The demo fleet. It depends on the browser: without one, nothing is started in vain."""
    name = f"maybe-{secrets.token_hex(4)}"
    folder = Folder(where.folder.private(f"cluster-{name}"), durable=False)
    database, vhost = await postgres.create(name), await rabbitmq.create(name)
    there = replace(where, folder=folder)
    async with (
        cluster(there, postgres, rabbitmq, database, vhost, **MASTER_SETTINGS) as made,
        demo_cluster(made, lambda _: None),
    ):
        yield made
    await rabbitmq.drop(name)
    await postgres.drop(name)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, demo: Cluster) -> AsyncIterator[Visit]:
    """Opens pages as a first visitor. In the end no page may have said anything or asked another host."""
    async with AsyncExitStack() as stack:
        opened: list[Watched] = []

        async def visit(path: str = "/", look: Look = PLAIN) -> Page:
            origin = str(demo.api.base_url).rstrip("/")
            context, watched = await stack.enter_async_context(watched_context(browser, origin, look))
            opened.append(watched)
            page = await context.new_page()
            await page.goto(path)
            return page

        yield visit
        assert [watched.console for watched in opened if watched.console] == []
        assert [watched.outside for watched in opened if watched.outside] == []
