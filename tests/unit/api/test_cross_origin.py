"""A web page cannot use the API behind its operator's back: only own names and origins are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.api.requests.admission import check
from master.api.requests.cross_origin import is_same, is_trusted, read_origin
from master.errors import BadRequest, ForeignOrigin, NotJson, RequestRefused, UnknownHost
from master.schemas.hosts import read_authority

OWN = frozenset({"api.example.com"})


def request(method: str = "GET", *headers: tuple[str, str], version: str = "1.1", path: str = "/proxies"):
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {"method": method, "headers": fields, "http_version": version, "raw_path": path.encode()}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:3005",
        "203.0.113.7:80",
        "[::1]",
        "[2001:DB8::1]:3005",
        "[::ffff:127.0.0.1]:3005",
        "localhost",
        "LOCALHOST:3005",
        "localhost.",
        "localhost:",
        "master",
        "my_master-2:3005",
        "master.internal",
        "x.y.local",
        "box.LAN:1",
        "nas.home.arpa",
        "maybe.default.svc.cluster.local.",
        "api.example.com",
        "API.example.com.:8443",
    ],
)
def test_a_host_that_no_stranger_can_make_lead_here_is_taken(host: str):
    check(request("GET", ("Host", host)), OWN)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3005",
        "evil.internal.example",
        "evilinternal.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "foo.localhost",
        "api.example.com.evil.example",
        "www.api.example.com",
        "notapi.example.com",
        "1.2.3",
        "127.1.2",
        "0x7f.0.0.1",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:80@evil.example",
        "localhost#.evil.example",
        "localhost/.evil.example",
        "localhost, evil.example",
        "localhost evil.example",
        "localhost:80:80",
        "localhost:abc",
        "localhost..",
        "[::1",
        "::1",
        "[::1]evil.example",
        "[fe80::1%25eth0]",
        "..internal",
        ".internal",
        "l\xf6calhost",
        "",
        ":3005",
    ],
)
def test_any_other_host_is_421_and_says_what_to_set(host: str):
    with pytest.raises(UnknownHost, match="API_HOSTS"):
        check(request("GET", ("Host", host)), OWN)


@pytest.mark.parametrize("headers", [(), (("Host", "localhost"), ("Host", "localhost"))])
def test_a_request_with_no_host_or_two_is_400(headers: tuple[tuple[str, str], ...]):
    with pytest.raises(BadRequest):
        check(request("GET", *headers), OWN)


def test_a_program_that_speaks_http_1_0_needs_no_host():
    check(request("GET", version="1.0"), OWN)
    with pytest.raises(ForeignOrigin):
        check(request("POST", ("Origin", "http://evil.example"), version="1.0"), OWN)


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-Host"])
def test_no_other_header_stands_for_the_host(name: str):
    with pytest.raises(UnknownHost):
        check(request("GET", ("Host", "evil.example"), (name, "localhost")), OWN)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost:8080",
        "http://localhost.evil.example:3005",
        "http://localhost:3005@evil.example",
        "http://localhost:3005/",
        "localhost:3005",
        "chrome-extension://localhost",
        "HTTP://localhost",
    ],
)
def test_a_page_of_another_origin_changes_nothing(method: str, origin: str):
    with pytest.raises(ForeignOrigin):
        check(request(method, ("Host", "localhost:3005"), ("Origin", origin)), OWN)


def test_one_foreign_origin_among_several_is_enough():
    origins = (("Origin", "http://localhost"), ("Origin", "http://evil.example"))
    with pytest.raises(ForeignOrigin):
        check(request("DELETE", ("Host", "localhost"), *origins), OWN)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:3005", "http://localhost:3005"),
        ("LOCALHOST.:3005", "http://localhost:3005"),
        ("api.example.com", "https://api.example.com"),
        ("api.example.com:443", "https://api.example.com"),
        ("api.example.com", "https://api.example.com:8443"),
        ("[::1]:3005", "http://[::1]:3005"),
        ("[0:0::1]:3005", "http://[::1]:3005"),
    ],
)
def test_the_api_s_own_page_may_use_it(host: str, origin: str):
    check(request("DELETE", ("Host", host), ("Origin", origin)), OWN)


def test_a_foreign_page_may_look_since_its_browser_shows_it_nothing():
    for method in ("GET", "HEAD"):
        check(request(method, ("Host", "localhost"), ("Origin", "http://evil.example")), OWN)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "Text/Plain; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "text/plain; application/json",
        "text/plain, application/json",
        "application/jsonp",
        "*/*",
        "",
    ],
)
def test_what_a_browser_posts_without_asking_is_415(content_type: str):
    with pytest.raises(NotJson):
        check(request("POST", ("Host", "localhost"), ("Content-Type", content_type)), OWN)


def test_json_and_no_type_at_all_are_posted():
    for more in ((), (("Content-Type", "application/json; charset=utf-8"),)):
        check(request("POST", ("Host", "localhost"), *more), OWN)


def test_every_content_type_of_a_request_must_be_json():
    types = (("Content-Type", "application/json"), ("Content-Type", "text/plain"))
    with pytest.raises(NotJson):
        check(request("POST", ("Host", "localhost"), *types), OWN)


@given(st.text(st.characters(max_codepoint=255)))
def test_no_text_in_host_or_origin_fails_the_check(text: str):
    for headers in ((("Host", text),), (("Host", "localhost"), ("Origin", text))):
        try:
            check(request("POST", *headers), OWN)
        except RequestRefused:
            continue
        host, origin = read_authority(text), read_origin(text)
        assert (host and is_trusted(host.host, OWN)) or (
            origin and is_same(origin, read_authority("localhost") or origin)
        )
