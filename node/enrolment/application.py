"""ASGI application of a node that waits for enrolment: POST routes that read one bounded body each.

It answers with constant texts only, and quotes nothing of a request. A content type is not looked at: a body counts by
its proof.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from pydantic import ValidationError

from shared.asgi import Answer, Receive, Scope, Send, declared_length, send_answer, whole_body
from shared.enrolment.bodies import REFUSED

log = structlog.get_logger()

BODY_LIMIT = 65_536
BODY_S = 30.0
"""Longest time for a body to arrive. The master's comes with its head."""

BodyHandler = Callable[[bytes], Awaitable[Answer]]
"""Answers a body. It may raise ValidationError for one that it cannot read, and OSError for a disk that refuses."""

CLOSE = (b"connection", b"close")
NOT_FOUND = Answer(404, REFUSED)
NOT_ALLOWED = Answer(405, REFUSED, headers=((b"allow", b"POST"),))
UNREADABLE = Answer(400, REFUSED)
TOO_SLOW = Answer(408, REFUSED, headers=(CLOSE,))
TOO_LONG = Answer(413, REFUSED, headers=(CLOSE,))
NOT_STORED = Answer(500, REFUSED)


class Application:
    """Serves each path of `routes` to POST, and nothing else."""

    def __init__(self, routes: Mapping[str, BodyHandler], *, body_s: float = BODY_S) -> None:
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
                body = await whole_body(receive, BODY_LIMIT)
        except TimeoutError:
            return TOO_SLOW
        if body is None:
            return None
        return await answered(route, body) if len(body) <= BODY_LIMIT else TOO_LONG


async def answered(route: BodyHandler, body: bytes) -> Answer:
    """Call the route."""
    try:
        return await route(body)
    except ValidationError:
        return UNREADABLE
    except OSError as error:
        log.error("enrolment.not_stored", reason=error.strerror)
        return NOT_STORED
