"""One browser and one demo fleet for all browser tests of a run.

They end with the folder, since clusters of other tests use the same ports.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.chromium import browser as running_browser
from tests.browser.chromium import ensure_chromium
from tests.browser.curl_lines import CurlLines, Writer, writer
from tests.browser.watched import PLAIN, Look, Watched, watched_context
from tests.cluster.cluster import Cluster, cluster
from tests.launch.demo.demo import MASTER_SETTINGS, demo_cluster
from tests.services.folders import Folder
from tests.services.postgres import PostgreSQL
from tests.services.programs import ProgramError
from tests.services.rabbitmq import RabbitMQ
from tests.services.sources import Where


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser(where: Where) -> AsyncIterator[Browser]:
    """Chromium; without one, and where none can be installed, the tests are skipped."""
    try:
        path = await ensure_chromium(where.report)
    except ProgramError as error:
        pytest.skip(f"no Chromium can be had here: {error}")
    async with running_browser(path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="package", loop_scope="session")
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


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def curl_writer(browser: Browser, demo: Cluster) -> AsyncIterator[Writer]:
    """It is shared by all tests, so that each form of reading is made by curl once in a run."""
    async with writer(browser, origin_of(demo)) as opened:
        yield opened


def origin_of(demo: Cluster) -> str:
    return str(demo.api.base_url).rstrip("/")


class Visit:
    """Opens pages as a first visitor, each in a browser of its own.

    `watched` is what they said and asked for, `curl` their calls as command lines, by which they are made.
    """

    def __init__(self, browser: Browser, writer: Writer, stack: AsyncExitStack) -> None:
        self.watched: list[Watched] = []
        self.curl = CurlLines(writer)
        self._browser, self._origin, self._stack = browser, writer.origin, stack

    async def __call__(self, path: str = "/", look: Look = PLAIN, *, by_curl: bool = True) -> Page:
        """Open a page. Where an answer is cut, its calls cannot be made by curl."""
        context, watched = await self._stack.enter_async_context(watched_context(self._browser, self._origin, look))
        self.watched.append(watched)
        if by_curl:
            await self._stack.enter_async_context(self.curl.following(context))
        page = await context.new_page()
        await page.goto(path)
        return page


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, curl_writer: Writer) -> AsyncIterator[Visit]:
    """In the end no page may have said anything on its console, or asked another host.

    All its calls were made as the command lines that the page writes for them, with the same status.
    """
    async with AsyncExitStack() as stack:
        visit = Visit(browser, curl_writer, stack)
        yield visit
    assert [watched.console for watched in visit.watched if watched.console] == []
    assert [watched.outside for watched in visit.watched if watched.outside] == []
    assert visit.curl.differences == []
