"""Answers every error with a problem document (application/problem+json, RFC 9457)."""

import json
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from master.api.encoding import written
from master.api.middleware import masked
from master.errors import (
    BrokerAway,
    DatabaseAway,
    DatabaseError,
    DatabaseFailed,
    NotFound,
    Reported,
    RequestRefused,
    TooSoon,
    Unauthorized,
)
from master.schemas.media_types import MediaType
from shared.bus.failures import BusDown

RETRY_AFTER_S = 5
BODY_LIMIT = 1_048_576
NO_SUCH_ID = "there is nothing with this id"

log = structlog.get_logger()

ApiRequest = Request[Any, Any, Any]


class BodyTooLarge(RequestRefused):
    """The body exceeds 1 MiB."""

    type = "/problems/body-too-large"
    title = "Body too large"
    status = 413


class MethodNotAllowed(RequestRefused):
    """The path exists, but not with this method; the Allow header lists the methods."""

    type = "/problems/method-not-allowed"
    title = "Method not allowed"
    status = 405


class Unforeseen(RequestRefused):
    """The master failed unexpectedly; its log has the details."""

    type = "/problems/unforeseen"
    title = "Unforeseen error"
    status = 500


REPORTED_HTTP: Mapping[int, type[RequestRefused]] = {
    one.status: one for one in (NotFound, MethodNotAllowed, BodyTooLarge)
}
"""Problems for the framework's own refusals, by status."""
DETAILS: Mapping[type[RequestRefused], str] = {BodyTooLarge: f"a body has at most {BODY_LIMIT} bytes"}


def problem(
    kind: type[Reported],
    detail: str,
    *,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """Make a problem document of this kind."""
    content = document(kind.type, kind.title, kind.status, detail, members or {})
    return written(content, MediaType.PROBLEM, status=kind.status, headers=headers)


def document(type_: str, title: str, status: int, detail: str, members: Mapping[str, Any]) -> bytes:
    """Encode a problem document."""
    found = {"type": type_, "title": title, "status": status, "detail": detail, **members}
    return json.dumps(found, ensure_ascii=False).encode()


def on_refused(_: ApiRequest | None, error: RequestRefused) -> Response[bytes]:
    """Report a request that a service refuses."""
    return problem(type(error), error.detail, members=error.members, headers=headers_of(error))


def headers_of(error: RequestRefused) -> Mapping[str, str]:
    """Return the headers that a refusal needs besides its document."""
    match error:
        case TooSoon():
            return {"Retry-After": str(error.members["retry_after_s"])}
        case Unauthorized():
            return {"WWW-Authenticate": 'Bearer realm="maybe-proxy"'}
        case _:
            return {}


def on_failed(request: ApiRequest, error: DatabaseFailed) -> Response[bytes]:
    """Report that the database cannot do this now, or, if values of ours are wrong, ever."""
    return on_bug(request, error) if error.is_of_data else on_away(request, error)


def on_away(_: ApiRequest, error: DatabaseAway | DatabaseFailed | BrokerAway | BusDown) -> Response[bytes]:
    """Report that the database or the broker does not answer."""
    kind = BrokerAway if isinstance(error, BusDown) else type(error)
    what = "database" if isinstance(error, DatabaseError) else "broker"
    log.warning(f"{what}.away", reason=getattr(error, "reason", str(error)))
    does = "failed" if isinstance(error, DatabaseFailed) else "does not answer now"
    detail = f"the {what} {does}; nothing is known to be changed"
    return problem(kind, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def on_http(request: ApiRequest, error: HTTPException) -> Response[bytes]:
    """Report a request that the framework refuses: an unknown route, a wrong method, and so on."""
    status, headers = error.status_code, error.headers or {}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_bug(request, error)
    if kind := REPORTED_HTTP.get(status):
        return problem(kind, DETAILS.get(kind, error.detail), headers=headers)
    content = document("about:blank", HTTPStatus(status).phrase, status, error.detail, {})
    return written(content, MediaType.PROBLEM, status=status, headers=headers)


def on_path(_: ApiRequest, __: ValidationException) -> Response[bytes]:
    """Report values that the framework refuses, which are impossible ids in the path, as 404."""
    return problem(NotFound, NO_SUCH_ID)


def on_bug(request: ApiRequest, error: Exception) -> Response[bytes]:
    """Log an unexpected error once, with its place; its text may hold secrets and is left out."""
    log.error(
        "request.failed",
        method=request.method,
        path=masked(request.url.path),
        error=type(error).__name__,
        cause=type(error.__cause__).__name__ if error.__cause__ else None,
        where="".join(traceback.format_tb(error.__traceback__)),
    )
    return problem(Unforeseen, "the request failed unexpectedly; the master's log has the details")


HANDLERS: dict[int | type[Exception], Any] = {
    RequestRefused: on_refused,
    DatabaseAway: on_away,
    DatabaseFailed: on_failed,
    BrokerAway: on_away,
    BusDown: on_away,
    ValidationException: on_path,
    HTTPException: on_http,
    Exception: on_bug,
}
