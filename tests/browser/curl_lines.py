"""Calls of a page, each written as curl by the page itself and made by the real curl."""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, Request, Route

OURS = ("x-request-id", "idempotency-key", "if-match", "prefer")
"""Header fields that the page sets; the browser adds the others."""
CURL_S = 40
LINE = """async ([call, origin]) => {
    const main = document.querySelector('script[src$="/main.js"]').src;
    return (await import(main.replace("main.js", "curl.js"))).curl(call, origin);
}"""


@dataclass
class CurlLines:
    """Makes the calls of a page by curl: writes by curl alone, whose answer the page gets; reads by both."""

    origin: str
    lines: list[str] = field(default_factory=list[str])
    differences: list[str] = field(default_factory=list[str])

    @asynccontextmanager
    async def following(self, page: Page) -> AsyncIterator[None]:
        """Make the calls of the page until the end of the block; those that the page gives up are forgotten."""
        await page.route(lambda url: is_call(url, self.origin), self._make)
        try:
            yield
        finally:
            await page.unroute_all(behavior="ignoreErrors")

    async def _make(self, route: Route, request: Request) -> None:
        if request.headers.get("accept") == "text/event-stream":
            await route.continue_()
            return
        line = await request.frame.page.evaluate(LINE, [call_of(request), self.origin])
        self.lines.append(line)
        if request.method != "GET":
            await route.fulfill(**await made(line))
            return
        by_browser, by_curl = await route.fetch(), await made(line)
        if by_browser.status != by_curl["status"]:
            self.differences.append(f"{by_browser.status} in the page, {by_curl['status']} by {line}")
        await route.fulfill(response=by_browser)


def is_call(url: str, origin: str) -> bool:
    """Whether the address is one of the API, and not a file of the page."""
    path = urlsplit(url).path
    return url.startswith(origin) and path != "/" and not path.startswith("/ui/")


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
            raise AssertionError(f"curl ended with {shell.returncode}: {error.decode()} ({line})")
        return {**parsed(head.read_text()), "body": body.read_bytes() if body.exists() else b""}


def parsed(head: str) -> dict[str, Any]:
    """Return the status and headers of an answer's last head (after 100 Continue there are two)."""
    status, *fields = head.strip().split("\r\n\r\n")[-1].splitlines()
    pairs = (field.split(":", 1) for field in fields)
    headers = {name.lower(): value.strip() for name, value in pairs if name.lower() != "transfer-encoding"}
    return {"status": int(status.split()[1]), "headers": headers}
