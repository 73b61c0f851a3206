"""What the proxy itself says to an HTTP client."""

from http import HTTPStatus

from node.engine.builtin.http_request import Request

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_CHALLENGE = b'Proxy-Authenticate: Basic realm="proxy"\r\n'


def leaves_open(request: Request | None, early: bytes | bytearray) -> bool:
    """Whether the connection can stay after an answer in place of the origin's: the next byte must be a request's."""
    if request is None or not request.keep_alive or request.has_body:
        return False
    return request.method != b"CONNECT" or not early


def answer(status: int, reason: str, *, method: bytes = b"", keep_alive: bool = False) -> bytes:
    """A whole response; its body is the reason, which a HEAD request does not get."""
    body = f"{reason}\n".encode()
    return b"HTTP/1.1 %d %b\r\n%bContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n%b" % (
        status,
        HTTPStatus(status).phrase.encode(),
        _CHALLENGE if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else b"",
        len(body),
        b"keep-alive" if keep_alive else b"close",
        b"" if method == b"HEAD" else body,
    )
