"""Request heads: what is accepted, refused and forwarded.

Long because it is a table of inputs, most of them from public reports on other proxies.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.http_fields import (
    CHUNKED,
    HOP_BY_HOP,
    MAX_MEMBERS,
    MAX_REQUEST_LINES,
    NO_BODY,
    Refusal,
)
from node.engine.builtin.protocols.http_replies import HttpReply, encode, may_stay_open, refusal_reply
from node.engine.builtin.protocols.http_request import Request, blank_size, could_be_http, head_size, read_request
from node.engine.builtin.protocols.http_route import Route, RoutedRequest, route, routed_request

GET = b"GET http://example.com:8080/a?b=c HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n\r\n"


def read(head: bytes) -> Request:
    request = read_request(head)
    assert isinstance(request, Request)
    return request


def sent_on(head: bytes) -> bytes:
    way = route(read(head))
    assert isinstance(way, Route)
    return way.head


def with_fields(*fields: bytes, line: bytes = b"POST http://example.com/ HTTP/1.1") -> bytes:
    return b"".join([line, b"\r\n", *(field + b"\r\n" for field in fields), b"\r\n"])


def test_an_absolute_url_becomes_a_path_and_the_targets_own_host() -> None:
    assert sent_on(GET) == b"GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "first"),
    [
        (b"GET http://h HTTP/1.1", b"GET / HTTP/1.1"),
        (b"GET HTTP://h?x HTTP/1.1", b"GET /?x HTTP/1.1"),
        (b"OPTIONS http://h HTTP/1.1", b"OPTIONS * HTTP/1.1"),
        (b"OPTIONS http://h/ HTTP/1.1", b"OPTIONS / HTTP/1.1"),
        (b"GET http://h/ HTTP/1.0", b"GET / HTTP/1.0"),
        (b"GET http://h/ HTTP/1.7", b"GET / HTTP/1.1"),
        (b"GET http://h:/a//b HTTP/1.1", b"GET /a//b HTTP/1.1"),
    ],
)
def test_the_first_line_is_in_origin_form(line: bytes, first: bytes) -> None:
    assert sent_on(with_fields(line=line)).split(b"\r\n")[0] == first


@pytest.mark.parametrize(
    ("target", "destination"),
    [
        (b"example.com:443", Destination("example.com", 443)),
        (b"[2001:db8::1]:8443", Destination("2001:db8::1", 8443)),
        (b"under_score.example:1", Destination("under_score.example", 1)),
    ],
)
def test_connect_names_host_and_port(target: bytes, destination: Destination) -> None:
    assert route(read(with_fields(line=b"CONNECT " + target + b" HTTP/1.1"))) == Route(destination, b"")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (b"GET / HTTP/1.1", "absolute"),
        (b"OPTIONS * HTTP/1.1", "absolute"),
        (b"GET https://h/ HTTP/1.1", "CONNECT host:443"),
        (b"GET ftp://h/ HTTP/1.1", "scheme"),
        (b"GET http://user:pass@h/ HTTP/1.1", "Authorization"),
        (b"GET http://user@h?x HTTP/1.1", "Authorization"),
        (b"GET http://h/#part HTTP/1.1", "fragment"),
        (b"GET http:///path HTTP/1.1", "host or port"),
        (b"GET http://h:0/ HTTP/1.1", "host or port"),
        (b"GET http://h:65536/ HTTP/1.1", "host or port"),
        (b"GET http://h:080808/ HTTP/1.1", "host or port"),
        (b"GET http://h\\x/ HTTP/1.1", "host or port"),
        (b"CONNECT example.com HTTP/1.1", "host:port"),
        (b"CONNECT http://example.com:80/ HTTP/1.1", "host:port"),
        (b"CONNECT a@example.com:80 HTTP/1.1", "host:port"),
        (b"CONNECT :80 HTTP/1.1", "host:port"),
    ],
)
def test_a_target_that_is_no_place_to_go_is_refused_with_what_to_do(line: bytes, hint: str) -> None:
    way = route(read(with_fields(line=line)))
    assert isinstance(way, Refusal)
    assert way.status == 400
    assert hint in way.reason
    assert "pass" not in way.reason


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [((b"Content-Length: 0",), True), ((b"Content-Length: 5",), False), ((b"Transfer-Encoding: chunked",), False)],
)
def test_a_connect_may_say_that_it_has_no_body(fields: tuple[bytes, ...], allowed: bool) -> None:
    way = route(read(with_fields(*fields, line=b"CONNECT h:1 HTTP/1.1")))
    assert isinstance(way, Route) is allowed


@pytest.mark.parametrize(
    "head",
    [
        with_fields(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        with_fields(b"Content-Length: 5", b"Content-Length: 6"),
        with_fields(b"Content-Length: 5, 6"),
        with_fields(b"Content-Length: 5,"),
        with_fields(b"Content-Length: 5", b"Content-Length:"),
        with_fields(b"Content-Length: \x0b5"),
        with_fields(b"Content-Length: +5"),
        with_fields(b"Content-Length: -1"),
        with_fields(b"Content-Length: 0x5"),
        with_fields(b"Content-Length:"),
        with_fields(b"Content-Length: " + b"9" * 19),
        with_fields("Content-Length: \u0665".encode()),
        with_fields(b"Transfer-Encoding: gzip, chunked"),
        with_fields(b"Transfer-Encoding: chunked, chunked"),
        with_fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        with_fields(b"Transfer-Encoding: xchunked"),
        with_fields(b"Transfer-Encoding: identity"),
        with_fields(b"Transfer-Encoding:"),
        with_fields(b"Transfer-Encoding: \x0bchunked"),
        with_fields(b"Transfer-Encoding: chunked", b"Content-Length: 5", line=b"POST http://example.com/ HTTP/1.0"),
        with_fields(b"Transfer-Encoding : chunked"),
        with_fields(b"Content-Length : 5"),
        with_fields(b" Content-Length: 5"),
        with_fields(b"A: b", b" folded"),
        with_fields(b"A: b", b"\tfolded"),
        with_fields(b"A: b\rContent-Length: 5"),
        with_fields(b"A: b\nContent-Length: 5"),
        with_fields(b"A: b\0"),
        with_fields(b"A\0: b"),
        with_fields(b"A b: c"),
        with_fields(b": no name"),
        with_fields(b"no colon"),
        with_fields(b"Host: a", b"Host: b"),
        with_fields(b"Host: a", b"host: a"),
        with_fields(b"Proxy-Authorization: Basic YTpi", b"Proxy-Authorization: Basic YTpj"),
        with_fields(line=b"GET  http://h/ HTTP/1.1"),
        with_fields(line=b"GET http://h/ HTTP/1.1 "),
        with_fields(line=b"GET http://h/ x HTTP/1.1"),
        with_fields(line=b"GET http://h/\tHTTP/1.1"),
        with_fields(line=b"GET http://h/\0 HTTP/1.1"),
        with_fields(line=b"GET http://h/"),
        with_fields(line=b"PRI * HTTP/2.0"),
        with_fields(line=b"G\xc3\x84T http://h/ HTTP/1.1"),
        with_fields(line=b" GET http://h/ HTTP/1.1"),
    ],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(head: bytes) -> None:
    refusal = read_request(head)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@pytest.mark.parametrize(
    ("fields", "body", "told"),
    [
        ((b"Content-Length: 5",), 5, b"Content-Length: 5\r\n"),
        ((b"Content-Length: 005", b"content-length:005"), 5, b"Content-Length: 5\r\n"),
        ((b"Content-Length: 5, 05", b"Content-Length: 5"), 5, b"Content-Length: 5\r\n"),
        ((b"Content-Length: 0",), 0, b"Content-Length: 0\r\n"),
        ((b"Transfer-Encoding: CHUNKED",), CHUNKED, b"Transfer-Encoding: chunked\r\n"),
        ((), NO_BODY, b""),
    ],
)
def test_the_framing_is_told_once_and_in_one_way(fields: tuple[bytes, ...], body: int, told: bytes) -> None:
    head = with_fields(*fields)
    assert read(head).body == body
    assert sent_on(head) == b"POST / HTTP/1.1\r\nHost: example.com\r\n" + told + b"\r\n"


def test_hop_by_hop_fields_and_those_named_in_connection_end_here() -> None:
    head = with_fields(
        b"Connection: keep-alive, X-Private",
        b"Connection: x-other",
        b"X-Private: 1",
        b"X-OTHER: 2",
        b"X-Kept: 3",
        b"Keep-Alive: 5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic YTpi",
        b"Proxy-Authenticate: x",
        b"TE: trailers",
        b"Upgrade: h2c",
    )
    assert sent_on(head) == b"POST / HTTP/1.1\r\nHost: example.com\r\nX-Kept: 3\r\n\r\n"


def test_naming_the_framing_in_connection_does_not_take_it_away() -> None:
    head = with_fields(b"Connection: Content-Length, Host", b"Content-Length: 3")
    assert sent_on(head) == b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\n"


def test_control_characters_in_values_go_on() -> None:
    """A client returns them in a cookie as it got them; squid, tinyproxy and Privoxy pass them on."""
    assert b"Cookie: a\x01\x7fb\r\n" in sent_on(with_fields(b"Cookie: a\x01\x7fb"))


def test_chunks_of_an_http_1_0_client_go_on_in_http_1_1_and_end_its_connection() -> None:
    head = with_fields(
        b"Transfer-Encoding: chunked", b"Connection: keep-alive", line=b"POST http://example.com/ HTTP/1.0"
    )
    assert not read(head).keep_alive
    assert sent_on(head) == (
        b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "version", "line"),
    [
        ((), b"1.1", b"Via: 1.1 here\r\n"),
        ((), b"1.0", b"Via: 1.0 here\r\n"),
        ((b"Via: 1.0 fred", b"via: 1.1 x (y)"), b"1.1", b"Via: 1.0 fred, 1.1 x (y), 1.1 here\r\n"),
        ((b"Via:", b"Connection: via"), b"1.1", b"Via: 1.1 here\r\n"),
    ],
)
def test_this_proxy_is_the_last_in_via(fields: tuple[bytes, ...], version: bytes, line: bytes) -> None:
    way = route(read(with_fields(*fields, line=b"GET http://h/ HTTP/" + version)), b"here")
    assert isinstance(way, Route)
    assert line in way.head
    assert way.head.lower().count(b"\r\nvia:") == 1


def test_a_proxy_without_a_name_leaves_via_as_it_is() -> None:
    assert b"Via" not in sent_on(GET)
    assert b"\r\nVia: 1.0 fred\r\n" in sent_on(with_fields(b"Via: 1.0 fred"))


def ordered(head: bytes) -> RoutedRequest:
    order = routed_request(head, b"")
    assert isinstance(order, RoutedRequest)
    return order


@pytest.mark.parametrize(
    ("method", "fields", "line"),
    [
        (b"OPTIONS", (b"Max-Forwards: 5",), b"Max-Forwards: 4\r\n"),
        (b"TRACE", (b"Max-Forwards: 1",), b"Max-Forwards: 0\r\n"),
        (b"TRACE", (b"Max-Forwards: 010", b"max-forwards:10"), b"Max-Forwards: 9\r\n"),
        (b"OPTIONS", (b"Max-Forwards: -1",), b""),
        (b"OPTIONS", (b"Max-Forwards: 0", b"Max-Forwards: 7"), b""),
        (b"GET", (b"Max-Forwards: 0",), b"Max-Forwards: 0\r\n"),
    ],
)
def test_max_forwards_is_counted_down(method: bytes, fields: tuple[bytes, ...], line: bytes) -> None:
    way = ordered(with_fields(*fields, line=method + b" http://h/ HTTP/1.1")).route
    assert isinstance(way, Route)
    assert way.head == method + b" / HTTP/1.1\r\nHost: h\r\n" + line + b"\r\n"


def test_the_last_proxy_sends_a_trace_back_without_its_secrets() -> None:
    head = with_fields(b"Max-Forwards: 0", b"Cookie: c", b"X: y", b"authorization: a", line=b"TRACE http://h/ HTTP/1.1")
    assert ordered(head).route == HttpReply(
        200, b"Content-Type: message/http\r\n", b"TRACE http://h/ HTTP/1.1\r\nMax-Forwards: 0\r\nX: y\r\n\r\n"
    )


def test_the_last_proxy_answers_options_with_what_it_allows() -> None:
    said = ordered(with_fields(b"Max-Forwards: 0", line=b"OPTIONS http://h/ HTTP/1.1")).route
    assert isinstance(said, HttpReply)
    assert encode(said, 0).startswith(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nAllow: GET, ")


@pytest.mark.parametrize(
    ("value", "logs_in"), [(b"NTLM abc", True), (b"negotiate abc", True), (b"Basic NTLM", False), (b"Digest x", False)]
)
def test_credentials_for_a_connection_are_known(value: bytes, logs_in: bool) -> None:
    assert read(with_fields(b"Authorization: " + value)).logs_in is logs_in


@pytest.mark.parametrize(
    ("upgrade", "line"),
    [
        (b"h2c", b""),
        (b"H2C, websocket", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        (b"foo/2, bar", b"Connection: Upgrade\r\nUpgrade: foo/2, bar\r\n"),
        (b"a b, \x01", b""),
    ],
)
def test_an_upgrade_to_h2c_is_not_offered_to_the_origin(upgrade: bytes, line: bytes) -> None:
    head = with_fields(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + upgrade, b"HTTP2-Settings: AAMAAABk")
    assert sent_on(head) == b"POST / HTTP/1.1\r\nHost: example.com\r\n" + line + b"\r\n"


def test_an_asked_for_upgrade_and_an_expectation_go_on() -> None:
    head = with_fields(b"Connection: Upgrade", b"Upgrade: websocket", b"Expect: 100-continue")
    assert sent_on(head).endswith(b"Expect: 100-continue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (with_fields(), True),
        (with_fields(b"Connection: Close"), False),
        (with_fields(b"Proxy-Connection: close"), False),
        (with_fields(line=b"GET http://h/ HTTP/1.0"), False),
        (with_fields(b"Connection: keep-alive", line=b"GET http://h/ HTTP/1.0"), True),
        (with_fields(b"Proxy-Connection: Keep-Alive", line=b"GET http://h/ HTTP/1.0"), True),
    ],
)
def test_the_client_says_whether_its_connection_stays(head: bytes, kept: bool) -> None:
    assert read(head).keep_alive is kept


def test_only_what_changes_nothing_twice_may_be_sent_again() -> None:
    assert read(GET).repeatable
    assert not read(with_fields()).repeatable
    assert not read(with_fields(b"Content-Length: 1", line=b"PUT http://h/ HTTP/1.1")).repeatable


def test_a_head_is_found_whatever_pieces_it_comes_in() -> None:
    for cut in range(len(GET)):
        assert head_size(GET[:cut], 0) == 0
        assert head_size(GET + b"next", cut) == len(GET)


def test_a_head_over_64_kib_is_refused_before_its_end_has_come() -> None:
    for data in (b"G" * 65537, GET[:-2] + b"A: " + b"a" * 65536 + b"\r\n\r\n"):
        assert head_size(data, 0) == Refusal(431, "the request head is longer than 64 KiB")
    assert head_size(b"G" * 65536, 0) == 0


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\n", b"GET http://h/ HTTP/1.1\r\nA: b\n", b"GET \0", b"GET \rx"])
def test_a_stray_line_end_is_refused_at_once(data: bytes) -> None:
    refusal = head_size(data, len(data) - 1)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@given(st.binary(max_size=300))
def test_no_bytes_are_an_exception(data: bytes) -> None:
    head_size(data, 0)
    request = read_request(data)
    if isinstance(request, Request):
        route(request)


NAMES = st.sampled_from(
    [
        b"Content-Length",
        b"Transfer-Encoding",
        b"Connection",
        b"Host",
        b"X",
        b"Proxy-Authorization",
        b"Te",
        b"content-length",
    ]
)
VALUES = st.sampled_from([b"5", b"05", b"chunked", b"close", b"x", b"", b"5,5", b"content-length", b"\tchunked "])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_what_goes_on_is_read_the_same_way_again(fields: list[tuple[bytes, bytes]]) -> None:
    request = read_request(with_fields(*(name + b":" + value for name, value in fields)))
    if isinstance(request, Request):
        way = route(request)
        assert isinstance(way, Route)
        again = read(way.head)
        assert again.body == request.body
        assert not [name for name, _ in again.lines if name in HOP_BY_HOP]
        assert again.authorization is None
        assert way.head.lower().count(b"\r\nhost:") == 1


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_pieces_are_judged_like_the_whole(pieces: list[bytes]) -> None:
    data, seen = b"", 0
    for piece in [*pieces, b"\r\n\r\n"]:
        data += piece
        size = head_size(data, seen)
        if size:
            assert size == head_size(data, 0)
            return
        seen = len(data)


def test_what_begins_like_no_method_is_not_http() -> None:
    assert could_be_http(ord("G"))
    assert could_be_http(ord("\r"))
    assert not any(map(could_be_http, b"\x05\x16\x00\x80 "))


def test_the_proxys_own_answers_are_whole_responses() -> None:
    assert encode(refusal_reply(407, "why"), 1e9, keep_alive=True) == (
        b"HTTP/1.1 407 Proxy Authentication Required\r\nDate: Sun, 09 Sep 2001 01:46:40 GMT\r\n"
        b'Proxy-Authenticate: Basic realm="proxy"\r\n'
        b"Content-Type: text/plain\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nwhy\n"
    )
    assert encode(refusal_reply(502, "why"), 0, method=b"HEAD").endswith(
        b"Content-Length: 4\r\nConnection: close\r\n\r\n"
    )


def test_a_connection_stays_open_only_where_the_next_byte_is_a_requests() -> None:
    connect = read(with_fields(line=b"CONNECT h:1 HTTP/1.1"))
    assert may_stay_open(connect, b"")
    assert not may_stay_open(connect, b"\x16early")
    assert not may_stay_open(read(with_fields(b"Content-Length: 4")), b"")
    assert not may_stay_open(None, b"")


def test_a_head_of_as_many_lines_as_are_allowed_is_read() -> None:
    read(with_fields(*[b"a:"] * (MAX_REQUEST_LINES - 1)))


def test_a_head_of_too_many_lines_is_refused_before_any_is_read() -> None:
    refusal_reply = read_request(with_fields(*[b"no field"] * MAX_REQUEST_LINES))
    assert isinstance(refusal_reply, Refusal)
    assert refusal_reply.status == 431


@pytest.mark.parametrize("name", [b"Connection", b"Proxy-Connection", b"TE", b"Transfer-Encoding", b"Upgrade"])
def test_a_list_of_too_many_members_is_refused(name: bytes) -> None:
    read(with_fields(b"X: " + b"a," * 2 * MAX_MEMBERS))
    refusal_reply = read_request(with_fields(name + b": " + b"a," * (MAX_MEMBERS + 1)))
    assert isinstance(refusal_reply, Refusal)
    assert refusal_reply.status == 431


def test_members_of_one_list_in_several_fields_are_counted_together() -> None:
    refusal_reply = read_request(with_fields(*[b"Connection: a,b,c,d,e"] * MAX_MEMBERS))
    assert isinstance(refusal_reply, Refusal)


@given(st.text("\r\na\0", max_size=12), st.integers(0, 12))
def test_a_stray_line_end_is_found_in_whatever_pieces_it_comes(text: str, seen: int) -> None:
    data = ("a" + text).encode()
    clean = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00").search(data) is None
    before = data[: min(seen, len(data))]
    if b"\r\n\r\n" not in data and not isinstance(head_size(before, 0), Refusal):
        assert (head_size(data, len(before)) == 0) == clean


@given(st.text("\r\nG", max_size=12))
def test_empty_lines_are_skipped_and_nothing_else(text: str) -> None:
    data = text.encode()
    left = data
    while left.startswith(b"\r\n"):
        left = left[2:]
    assert data[blank_size(data) :] == left
