"""What the proxy itself says to an HTTP client."""

from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from node.engine.builtin.protocols.http_request import Request

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_CHALLENGE = b'Proxy-Authenticate: Basic realm="proxy"\r\n'
_ALLOWED = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE\r\n"
_SECRET = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
"""Fields that a TRACE does not send back (RFC 9110 §9.3.8)."""


class HttpReply(NamedTuple):
    """What a request gets from the proxy in place of an origin's response; `fields` are whole lines."""

    status: int
    fields: bytes
    content: bytes


def own_answer(request: Request, head: bytes) -> HttpReply | None:
    """The answer to OPTIONS or TRACE that may not be passed on (RFC 9110 §7.6.2); None for all other requests."""
    if request.hops != 0:
        return None
    if request.method == b"TRACE":
        return HttpReply(200, b"Content-Type: message/http\r\n", _traced(head))
    return HttpReply(200, _ALLOWED, b"")


def _traced(head: bytes) -> bytes:
    """The request as it came, without its secrets."""
    lines = head.split(b"\r\n")
    return b"\r\n".join([line for line in lines if line.partition(b":")[0].lower() not in _SECRET])


def refused(status: int, reason: str) -> HttpReply:
    """An answer that says why."""
    asked = _CHALLENGE if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else b""
    return HttpReply(status, b"%bContent-Type: text/plain\r\n" % asked, f"{reason}\n".encode())


def leaves_open(request: Request | None, early: bytes | bytearray) -> bool:
    """Whether the connection can stay after an answer in place of the origin's: the next byte must be a request's."""
    if request is None or not request.keep_alive or request.has_body:
        return False
    return request.method != b"CONNECT" or not early


def written(said: HttpReply, now: float, *, method: bytes = b"", keep_alive: bool = False) -> bytes:
    """A whole response, dated; a HEAD request does not get its content. `now` is the wall clock."""
    return b"HTTP/1.1 %d %b\r\nDate: %b\r\n%bContent-Length: %d\r\nConnection: %b\r\n\r\n%b" % (
        said.status,
        HTTPStatus(said.status).phrase.encode(),
        _date(int(now)),
        said.fields,
        len(said.content),
        b"keep-alive" if keep_alive else b"close",
        b"" if method == b"HEAD" else said.content,
    )


@lru_cache(1)
def _date(now: int) -> bytes:
    """IMF-fixdate (RFC 9110 §5.6.7). A worker never leaves the C locale, whose names of days and months these are."""
    return datetime.fromtimestamp(now, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").encode()
