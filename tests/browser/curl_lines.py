"""Calls of pages, each written as curl by the page's own module and made by the real curl."""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Request, Route

from master.web.files import build

OURS = ("x-request-id", "idempotency-key", "if-match", "prefer")
"""Header fields that the page sets; the browser adds the others."""
CURL_S = 40
NO_ANSWER = 0
MODULE = "async (module) => { window.curl = (await import(module)).curl; }"
LINE = "([call, origin]) => window.curl(call, origin)"


@dataclass(frozen=True)
class Writer:
    """Writes calls as command lines, by the module of the page that does so for its readers."""

    origin: str
    page: Page
    compared: set[str] = field(default_factory=set[str])
    """The forms of the readings that were made by both, see `form_of`."""

    async def line(self, request: Request) -> str:
        return await self.page.evaluate(LINE, [call_of(request), self.origin])


@asynccontextmanager
async def writer(browser: Browser, origin: str) -> AsyncGenerator[Writer]:
    """Provide a writer, in a browser tab that has the module and nothing else of the page."""
    page = await browser.new_page()
    await page.route(re.compile("/packed/"), lambda route: route.abort())
    await page.goto(origin)
    await page.evaluate(MODULE, f"/ui/{build()}/curl.js")
    try:
        yield Writer(origin, page)
    finally:
        await page.close()


@dataclass
class CurlLines:
    """Makes calls of pages by curl: writes by curl alone, whose answer the page gets; each form of reading by both."""

    writer: Writer
    lines: list[str] = field(default_factory=list[str])
    differences: list[str] = field(default_factory=list[str])

    @asynccontextmanager
    async def following(self, context: BrowserContext) -> AsyncGenerator[None]:
        """Make the calls of all pages of the context until the end of the block, and then wait for the last one."""
        await context.route(re.compile(rf"^{re.escape(self.writer.origin)}/(?!ui/|$|[?#])"), self._make)
        try:
            yield
        finally:
            await context.unroute_all(behavior="wait")

    async def _make(self, route: Route, request: Request) -> None:
        if is_of_browsers_alone(request):
            await route.continue_()
        elif request.method == "GET":
            await route.continue_()
            await self._compare(request)
        else:
            answer = await made(await self._written(request))
            if answer["status"] == NO_ANSWER:
                self.differences.append(f"{request.method} {request.url} could not be made by curl")
                await route.abort()
            else:
                await route.fulfill(**answer)

    async def _compare(self, request: Request) -> None:
        """Make a reading by curl too, unless one of its form was. One that the page gives up has no answer."""
        form = form_of(request.url)
        if form in self.writer.compared:
            return
        self.writer.compared.add(form)
        by_page, line = await request.response(), await self._written(request)
        if by_page is None:
            self.writer.compared.discard(form)
        elif (by_curl := await made(line))["status"] != by_page.status:
            self.differences.append(f"{by_page.status} in the page, {by_curl['status']} by {line}")

    async def _written(self, request: Request) -> str:
        line = await self.writer.line(request)
        self.lines.append(line)
        return line


def is_of_browsers_alone(request: Request) -> bool:
    """Whether no line stands for a request: the event stream, which does not end, pages and downloads."""
    return request.headers.get("accept") == "text/event-stream" or request.resource_type != "fetch"


def form_of(url: str) -> str:
    """Return the path without its numbers, and the names of the query's parameters."""
    parts = urlsplit(url)
    return f"{re.sub(r'[0-9]+', '0', parts.path)}?{'&'.join(sorted(parse_qs(parts.query, keep_blank_values=True)))}"


def call_of(request: Request) -> dict[str, Any]:
    """Describe a request as the page does: see Call in curl.js."""
    url = urlsplit(request.url)
    query = parse_qs(url.query, keep_blank_values=True)
    headers = {name: value for name, value in request.headers.items() if name in OURS}
    body = {"body": json.loads(request.post_data)} if request.post_data else {}
    return {"method": request.method, "path": url.path, "query": query, "headers": headers, **body}


async def made(line: str) -> dict[str, Any]:
    """Run a line as it stands in a shell; return the answer as Playwright fulfils a request."""
    with tempfile.TemporaryDirectory(prefix="maybe-curl-") as folder:
        head, body = Path(folder, "head"), Path(folder, "body")
        command = re.sub(r"^curl ", f"curl -sS --noproxy '*' -D {head} -o {body} ", line)
        shell = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.PIPE)
        async with asyncio.timeout(CURL_S):
            _, error = await shell.communicate()
        if shell.returncode:
            return {"status": NO_ANSWER, "body": error}
        return {**parsed(head.read_text()), "body": body.read_bytes() if body.exists() else b""}


def parsed(head: str) -> dict[str, Any]:
    """Return the status and headers of an answer's last head (after 100 Continue there are two)."""
    status, *fields = head.strip().split("\r\n\r\n")[-1].splitlines()
    pairs = (field.split(":", 1) for field in fields)
    headers = {name.lower(): value.strip() for name, value in pairs if name.lower() != "transfer-encoding"}
    return {"status": int(status.split()[1]), "headers": headers}
