"""ASGI application of a node that waits for enrolment: POST routes that read one bounded body each.

It answers with constant texts only, and quotes nothing of a request. A content type is not looked at: a body counts by
its proof. The interface is specified at https://asgi.readthedocs.io/en/latest/specs/www.html.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from shared.enrolment.bodies import REFUSED

log = structlog.get_logger()

BODY_LIMIT = 65_536
BODY_S = 30.0
"""Longest time for a body to arrive. The master's comes with its head."""

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` are those besides length and type, with names in lower case."""

    status: int
    body: bytes = REFUSED
    media_type: bytes = b"text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Route = Callable[[bytes], Awaitable[Answer]]
"""Answers a body. It may raise ValidationError for one that it cannot read, and OSError for a disk that refuses."""

CLOSE = (b"connection", b"close")
NOT_FOUND = Answer(404)
NOT_ALLOWED = Answer(405, headers=((b"allow", b"POST"),))
UNREADABLE = Answer(400)
TOO_SLOW = Answer(408, headers=(CLOSE,))
TOO_LONG = Answer(413, headers=(CLOSE,))
NOT_STORED = Answer(500)


class Application:
    """Serves each path of `routes` to POST, and nothing else."""

    def __init__(self, routes: Mapping[str, Route], *, body_s: float = BODY_S) -> None:
        self._routes, self._body_s = routes, body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answer = await self._answer(scope, receive)
        if answer is not None:
            await send_answer(answer, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        """Return the answer; None to a caller who has hung up."""
        route = self._routes.get(scope["path"])
        if route is None:
            return NOT_FOUND
        if scope["method"] != "POST":
            return NOT_ALLOWED
        if declared_length(scope) > BODY_LIMIT:
            return TOO_LONG
        try:
            async with asyncio.timeout(self._body_s):
                body = await whole_body(receive)
        except TimeoutError:
            return TOO_SLOW
        if body is None:
            return None
        return await answered(route, body) if len(body) <= BODY_LIMIT else TOO_LONG


async def answered(route: Route, body: bytes) -> Answer:
    """Call the route."""
    try:
        return await route(body)
    except ValidationError:
        return UNREADABLE
    except OSError as error:
        log.error("enrolment.not_stored", reason=error.strerror)
        return NOT_STORED


def declared_length(scope: Scope) -> int:
    """Return the length that the head announces, or 0. The server has checked that it is a number."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


async def whole_body(receive: Receive) -> bytes | None:
    """Receive the body, up to the piece that exceeds BODY_LIMIT; None if the caller hangs up before its end."""
    body = bytearray()
    while len(body) <= BODY_LIMIT:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    return bytes(body)


async def send_answer(answer: Answer, send: Send) -> None:
    """Send a whole answer."""
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
