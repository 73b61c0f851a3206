"""Gives every request its id, and logs and counts its answer."""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import structlog
from litestar.types import ASGIApp, Message, Scope

from master.actors import API, acting
from master.instruments import Meters
from shared.messages.bodies import REQUEST_ID

log = structlog.get_logger()

HEADER = b"x-request-id"
LINK_PATH = "/l/"
LINK_HEADERS = ((b"cache-control", b"no-store"),)
"""Headers of all answers below LINK_PATH, errors included: the path is a secret."""
CSP = b"content-security-policy"
SAFETY: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    CSP: b"default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every answer that has none of its own: browsers guess no type, send no Referer, and frame nothing."""
READING = ("GET", "HEAD", "OPTIONS")


async def with_request_log(app: ASGIApp, meters: Meters, scope: Any, receive: Any, send: Any) -> None:
    """Serve a request under its id, which every log line, event and message for it carries."""
    request_id = given_id(scope) or uuid4().hex
    began = time.perf_counter()

    async def passing(message: Message) -> None:
        if message["type"] == "http.response.start":
            private = LINK_HEADERS if scope["path"].startswith(LINK_PATH) else ()
            own = [*message.get("headers", ()), (HEADER, request_id.encode()), *private]
            headers = [*own, *missing(own)]
            message = {**message, "headers": headers}  # type: ignore[assignment] # the same kind of message
            logged_route(meters, scope, message["status"], time.perf_counter() - began)
        await send(message)

    with acting(API, request_id):
        await app(scope, receive, passing)


def missing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of SAFETY that an answer does not have yet."""
    names = {name.lower() for name, _ in headers}
    return [(name, value) for name, value in SAFETY.items() if name not in names]


def masked(path: str) -> str:
    """Replace the secret in a path, for logs."""
    return f"{LINK_PATH}***" if path.startswith(LINK_PATH) else path


def given_id(scope: Scope) -> str | None:
    """Return the client's own id if it is fit for logs and headers."""
    found = next((value.decode("latin-1") for name, value in scope["headers"] if name == HEADER), "")
    return found if re.fullmatch(REQUEST_ID, found) else None


def logged_route(meters: Meters, scope: Any, status: int, seconds: float) -> None:
    """Count an answer that begins, and log it unless its method only reads."""
    route: str = scope.get("path_template") or "none"
    method: str = scope["method"]
    meters.served(method, route, status, seconds)
    if method not in READING:
        log.info("request.served", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
