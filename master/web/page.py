"""/: the web page, /api: the documentation of the API, and /ui: the files of both."""

import asyncio
import gzip
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

from litestar import Response, get
from litestar.params import FromPath, HeaderParameter

from master.api.encoding import empty, written
from master.errors import NotFound
from master.schemas.media_types import MediaType
from master.web.files import PageFile, build, page_file
from master.web.first_load import FirstLoad, first_load

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""No inline script or style runs, nothing is asked of other servers, and no text becomes HTML."""
KEEP = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

AcceptEncoding = Annotated[str, HeaderParameter(name="accept-encoding")]
IfNoneMatch = Annotated[str, HeaderParameter(name="if-none-match")]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>maybe-proxy</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/ui/{build}/icon.svg">
<link rel="stylesheet" href="/ui/{build}/{style}">
{preloads}
<script type="module" src="/ui/{build}/{entry}"></script>
</head>
<body>
<noscript>This page needs JavaScript. Everything that it does is a call of the API: see /api.</noscript>
</body>
</html>
"""
API_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>maybe-proxy API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/ui/{build}/icon.svg">
<link rel="stylesheet" href="/ui/{build}/vendor/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/ui/{build}/vendor/swagger-ui.js"></script>
<script type="module" src="/ui/{build}/swagger.js"></script>
</body>
</html>
"""


@lru_cache(4)
def page_file_of(made: str) -> PageFile:
    """Write the page."""
    return html_file(page_html(made, first_load()))


def page_html(made: str, first: FirstLoad) -> str:
    """Write the page that loads this first."""
    preloads = "\n".join(f'<link rel="modulepreload" href="/ui/{made}/{name}">' for name in first.modules)
    return PAGE.format(build=made, preloads=preloads, style=first.style, entry=first.entry)


@lru_cache(4)
def api_page_file_of(made: str) -> PageFile:
    """Write the page of Swagger UI."""
    return html_file(API_PAGE.format(build=made))


def html_file(text: str) -> PageFile:
    """Make a file out of a page."""
    content = text.encode()
    return PageFile(MediaType.HTML, content, gzip.compress(content, 6, mtime=0))


def answer(file: PageFile, cache: str, accept_encoding: str, if_none_match: str) -> Response[bytes]:
    """Answer with a file, compressed if the browser takes that, or 304 if it has the file."""
    headers: Mapping[str, str] = {"ETag": file.etag, "Cache-Control": cache, "Vary": "Accept-Encoding"}
    if file.media_type is MediaType.HTML:
        headers = {**headers, "Content-Security-Policy": POLICY}
    if file.etag in if_none_match:
        return empty(304, headers)
    if "gzip" in accept_encoding:
        return written(file.zipped, file.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return written(file.content, file.media_type, headers=headers)


@get("/")
async def page(accept_encoding: AcceptEncoding = "", if_none_match: IfNoneMatch = "") -> Response[bytes]:
    """Serve the web page."""
    return answer(await asyncio.to_thread(lambda: page_file_of(build())), ASK_AGAIN, accept_encoding, if_none_match)


@get("/api")
async def api_page(accept_encoding: AcceptEncoding = "", if_none_match: IfNoneMatch = "") -> Response[bytes]:
    """Serve Swagger UI."""
    return answer(await asyncio.to_thread(lambda: api_page_file_of(build())), ASK_AGAIN, accept_encoding, if_none_match)


@get("/ui/{made:str}/{name:path}")
async def ui_file(
    made: FromPath[str], name: FromPath[str], accept_encoding: AcceptEncoding = "", if_none_match: IfNoneMatch = ""
) -> Response[bytes]:
    """Serve a file of a page, for good. A page of another build gets 404, and asks to be loaded again."""
    if made != await asyncio.to_thread(build):
        raise NotFound("the page has changed; load it again")
    file = await asyncio.to_thread(page_file, str(name).lstrip("/"))
    return answer(file, KEEP, accept_encoding, if_none_match)
