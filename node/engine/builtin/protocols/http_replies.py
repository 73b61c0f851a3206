"""The proxy's own responses to an HTTP client."""

from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from node.engine.builtin.protocols.http_request import Request

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_CHALLENGE = b'Proxy-Authenticate: Basic realm="proxy"\r\n'
_ALLOWED = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE\r\n"
_SECRET = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
"""Fields left out of the response to TRACE (RFC 9110 §9.3.8)."""


class HttpReply(NamedTuple):
    """A response of the proxy instead of the origin's; `fields` are complete lines."""

    status: int
    fields: bytes
    content: bytes


def own_reply(request: Request, head: bytes) -> HttpReply | None:
    """The reply to OPTIONS or TRACE that must not be forwarded further (RFC 9110 §7.6.2); None for all other
    requests."""
    if request.hops != 0:
        return None
    if request.method == b"TRACE":
        return HttpReply(200, b"Content-Type: message/http\r\n", _traced(head))
    return HttpReply(200, _ALLOWED, b"")


def _traced(head: bytes) -> bytes:
    """The request as received, without secrets."""
    lines = head.split(b"\r\n")
    return b"\r\n".join([line for line in lines if line.partition(b":")[0].lower() not in _SECRET])


def refusal_reply(status: int, reason: str) -> HttpReply:
    """A reply that states the reason for a refusal."""
    challenge = _CHALLENGE if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else b""
    return HttpReply(status, b"%bContent-Type: text/plain\r\n" % challenge, f"{reason}\n".encode())


def may_stay_open(request: Request | None, early: bytes | bytearray) -> bool:
    """Whether the connection can be kept after a reply of the proxy: the next byte must begin another request."""
    if request is None or not request.keep_alive or request.has_body:
        return False
    return request.method != b"CONNECT" or not early


def encode(reply: HttpReply, now: float, *, method: bytes = b"", keep_alive: bool = False) -> bytes:
    """A complete response with its date; the content is left out for HEAD. `now` is the wall clock."""
    return b"HTTP/1.1 %d %b\r\nDate: %b\r\n%bContent-Length: %d\r\nConnection: %b\r\n\r\n%b" % (
        reply.status,
        HTTPStatus(reply.status).phrase.encode(),
        _date(int(now)),
        reply.fields,
        len(reply.content),
        b"keep-alive" if keep_alive else b"close",
        b"" if method == b"HEAD" else reply.content,
    )


@lru_cache(1)
def _date(now: int) -> bytes:
    """IMF-fixdate (RFC 9110 §5.6.7). Names of days and months are those of the C locale, which a worker never
    leaves."""
    return datetime.fromtimestamp(now, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").encode()
