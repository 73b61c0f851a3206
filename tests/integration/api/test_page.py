"""The web page and its files over HTTP."""

import re

from master.web.files import build
from master.web.page import POLICY
from tests.integration.conftest import Api


async def test_the_page_is_asked_for_again_and_its_files_are_kept_for_good(api: Api):
    page = await api.http.get("/")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
    assert page.headers["content-security-policy"] == POLICY
    [script] = re.findall(r'<script type="module" src="([^"]+)"', page.text)
    file = await api.http.get(script)
    assert file.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in file.headers["cache-control"]


async def test_a_browser_that_has_a_file_gets_no_body(api: Api):
    for path in ("/", "/api", f"/ui/{build()}/vendor/swagger-ui.css"):
        first = await api.http.get(path)
        again = await api.http.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_files_are_compressed_for_those_who_take_that(api: Api):
    for path in (f"/ui/{build()}/main.js", "/api-json"):
        zipped = await api.http.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await api.http.get(path, headers={"Accept-Encoding": "identity"})
        assert (zipped.headers["content-encoding"], plain.headers.get("content-encoding")) == ("gzip", None)
        assert zipped.headers["vary"] == "Accept-Encoding"
        assert zipped.text == plain.text


async def test_no_other_files_are_served(api: Api):
    names = (
        "nosuch.js",
        "openapi.d.ts",
        "vendor/LICENSE.htm",
        "../page.py",
        "..%2fpage.py",
        "%2fetc%2fpasswd",
        "parts",
    )
    for path in (*(f"/ui/{build()}/{name}" for name in names), "/ui/0123456789abcdef/main.js", "/ui/main.js"):
        assert (await api.http.get(path)).status_code == 404, path
