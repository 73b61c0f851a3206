"""Refuses requests before any route is looked up, by host, path, origin and media type; reads absolute targets."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from litestar import Response
from litestar.types import ASGIApp

from master.api.problems import on_refused
from master.api.requests.cross_origin import Headers, is_same, is_trusted, media_type, read_origin, values
from master.api.requests.paths import is_canonical
from master.errors import BadRequest, ForeignOrigin, NotFound, NotJson, RequestRefused, UnknownHost
from master.schemas.hosts import Authority, read_authority
from master.schemas.media_types import MediaType

JSON_TYPES = ("application/json", "application/merge-patch+json")
SAFE = ("GET", "HEAD")
ABSOLUTE = re.compile(rb"https?://([^/?#]*)(/.*)?", re.I | re.S)


def checked(app: ASGIApp, own: frozenset[str]) -> ASGIApp:
    """Put these checks before an application; `own` are the operator's host names."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        try:
            check(scope, own)
        except RequestRefused as error:
            await refuse(error, send)
        else:
            await app(scope, receive, send)

    return served


def check(scope: Any, own: frozenset[str]) -> None:
    """Check a request. Raises BadRequest, UnknownHost, NotFound, ForeignOrigin, NotJson."""
    headers: Headers = scope["headers"]
    host = check_host(headers, scope["http_version"], own)
    if not is_canonical(scope["raw_path"]):
        raise NotFound("no resource has this path; each has one spelling")
    if scope["method"] not in SAFE:
        check_origin(values(headers, b"origin"), host)
    if scope["method"] == "POST":
        check_content(values(headers, b"content-type"))


def check_host(headers: Headers, http_version: str, own: frozenset[str]) -> Authority | None:
    """Return the host that the request names; None for HTTP/1.0, which has no Host and which no browser speaks."""
    found = values(headers, b"host")
    if not found and http_version in ("0.9", "1.0"):
        return None
    if len(found) != 1:
        raise BadRequest("a request has one Host field (RFC 9112 §3.2)")
    host = read_authority(found[0])
    if host is None or not is_trusted(host.host, own):
        name = host.host if host else "the name in Host"
        detail = f"{name} is not a name of the API; if it should be, add it to the master's setting API_HOSTS"
        raise UnknownHost(detail, {"setting": "API_HOSTS"})
    return host


def check_origin(origins: list[str], host: Authority | None) -> None:
    """Refuse a change by a web page of another origin. It may send GET, but its browser hides the answer from it."""
    for text in origins:
        origin = read_origin(text)
        if origin is None or host is None or not is_same(origin, host):
            raise ForeignOrigin(
                "web pages of other origins cannot use the API; a reverse proxy must pass the Host field unchanged"
            )


def check_content(types: list[str]) -> None:
    """Refuse media types that a browser sends across origins without asking first: text and forms."""
    if any(media_type(text) not in JSON_TYPES for text in types):
        raise NotJson("send JSON, with the header content-type: application/json, or an empty body without a type")


async def refuse(error: RequestRefused, send: Callable[[Any], Any]) -> None:
    """Send the problem document over ASGI."""
    await send_problem(on_refused(None, error), send)


async def send_problem(answer: Response[bytes], send: Callable[[Any], Any]) -> None:
    """Send a problem document over ASGI."""
    length = str(len(answer.content)).encode()
    headers = [(b"content-type", MediaType.PROBLEM.encode()), (b"content-length", length)]
    headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})


def in_origin_form(scope: Any) -> Any:
    """Turn an absolute target into a path; its authority replaces Host (RFC 9112 §3.2.2)."""
    match = ABSOLUTE.fullmatch(scope["raw_path"])
    if match is None:
        return scope
    raw_path = match[2] or b"/"
    others = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
    path = unquote(raw_path.decode("latin-1"))
    return {**scope, "raw_path": raw_path, "path": path, "headers": [(b"host", match[1]), *others]}
