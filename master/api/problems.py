"""Every error as application/problem+json (RFC 9457)."""

import json
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from master import conflicts, errors
from master.api.entry import masked
from master.nodes import ExitsUsed, PortsExcluded
from shared.bus.failures import BusDown

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
BODY_LIMIT = 1_048_576
NO_SUCH_ID = "there is nothing with this id"

TYPES: Mapping[type[errors.Refused], str] = {
    errors.BadRequest: "/problems/bad-request",
    errors.ForeignOrigin: "/problems/foreign-origin",
    errors.NotJson: "/problems/not-json",
    errors.UnknownHost: "/problems/unknown-host",
    errors.NotFound: "/problems/not-found",
    errors.Invalid: "/problems/invalid",
    errors.Conflict: "/problems/conflict",
    errors.PreconditionFailed: "/problems/version-differs",
    errors.TooSoon: "/problems/too-soon",
    errors.NodeRefused: "/problems/node-refused",
    errors.NodeUnreachable: "/problems/node-unreachable",
    errors.NodeTooSlow: "/problems/node-too-slow",
    conflicts.NameTaken: "/problems/name-taken",
    conflicts.PortTaken: "/problems/port-taken",
    conflicts.PortOutsideRange: "/problems/port-outside-range",
    conflicts.EngineMissing: "/problems/engine-missing",
    conflicts.ExitMissing: "/problems/exit-missing",
    conflicts.NoRoom: "/problems/no-room",
    conflicts.StillUsed: "/problems/still-used",
    conflicts.CountDiffers: "/problems/count-differs",
    PortsExcluded: "/problems/ports-excluded",
    ExitsUsed: "/problems/exits-used",
}
"""What `type` says of each; "about:blank" stands for no more than the status says."""

log = structlog.get_logger()

Asked = Request[Any, Any, Any]


def document(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    type_: str = "about:blank",
    members: Mapping[str, Any] | None = None,
) -> bytes:
    """One problem document."""
    found = {
        "type": type_,
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **(members or {}),
    }
    return json.dumps(found, ensure_ascii=False).encode()


def problem(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    type_: str = "about:blank",
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """The answer that is one problem document."""
    return Response(
        document(status, detail, title=title, type_=type_, members=members),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def on_refused(_: Asked | None, error: errors.Refused) -> Response[bytes]:
    """What a service does not do."""
    type_ = next((TYPES[kind] for kind in type(error).__mro__ if kind in TYPES), "about:blank")
    headers = {"Retry-After": str(error.members["retry_after_s"])} if isinstance(error, errors.TooSoon) else {}
    return problem(error.status, error.detail, title=error.title, type_=type_, members=error.members, headers=headers)


def on_failed(request: Asked, error: errors.DatabaseFailed) -> Response[bytes]:
    """The database cannot do this now, or, if values of ours are wrong, ever."""
    return on_bug(request, error) if error.is_of_data else on_away(request, error)


def on_away(_: Asked, error: errors.DatabaseError | errors.BrokerAway | BusDown) -> Response[bytes]:
    """What stands behind the API does not answer."""
    what = "database" if isinstance(error, errors.DatabaseError) else "broker"
    log.warning(f"{what}.away", reason=getattr(error, "reason", str(error)))
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the {what} does not answer now; nothing is known to be changed",
        type_=f"/problems/{what}-away",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def on_http(_: Asked, error: HTTPException) -> Response[bytes]:
    """What the framework refuses: no such route, no such method, and so on."""
    status = error.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_bug(_, error)
    if isinstance(error, RequestEntityTooLarge):
        return problem(status, f"a body has {BODY_LIMIT} bytes at most")
    return problem(status, error.detail, headers=error.headers)


def on_path(_: Asked, __: ValidationException) -> Response[bytes]:
    """A path that names no possible id is no resource; bodies and queries are read, and refused, by ourselves."""
    return problem(HTTPStatus.NOT_FOUND, NO_SUCH_ID, type_=TYPES[errors.NotFound])


def on_bug(request: Asked, error: Exception) -> Response[bytes]:
    """Something nobody foresaw: logged once, by where it happened; its text may hold what must not be told."""
    log.error(
        "request.failed",
        method=request.method,
        path=masked(request.url.path),
        error=type(error).__name__,
        cause=type(error.__cause__).__name__ if error.__cause__ else None,
        where="".join(traceback.format_tb(error.__traceback__)),
    )
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong that nobody foresaw; the master's log has it"
    )


HANDLERS: dict[int | type[Exception], Any] = {
    errors.Refused: on_refused,
    errors.DatabaseAway: on_away,
    errors.DatabaseFailed: on_failed,
    errors.BrokerAway: on_away,
    BusDown: on_away,
    ValidationException: on_path,
    HTTPException: on_http,
    Exception: on_bug,
}
