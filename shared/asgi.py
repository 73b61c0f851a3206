"""What small ASGI applications share: whole answers, and bodies that are read up to a limit.

The interface is specified at https://asgi.readthedocs.io/en/latest/specs/www.html.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` are those besides length and type, with names in lower case."""

    status: int
    body: bytes
    media_type: bytes = TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()


def declared_length(scope: Scope) -> int:
    """Return the length that the head announces, or 0. The server has checked that it is a number."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


async def whole_body(receive: Receive, limit: int) -> bytes | None:
    """Receive the body, up to the piece that exceeds `limit`; None if the caller hangs up before its end."""
    body = bytearray()
    while len(body) <= limit:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    return bytes(body)


async def send_answer(answer: Answer, send: Send, *, bodiless: bool = False) -> None:
    """Send a whole answer; to a HEAD without its body."""
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else answer.body})
