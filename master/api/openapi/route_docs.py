"""Documentation of routes beyond their signatures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar.handlers.base import BaseRouteHandler
from pydantic import BaseModel

from master.api.requests.signatures import IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID, PREFER
from master.errors import Reported
from master.schemas.media_types import MediaType

OPTION = "documented"
NOT_YET = "The change is stored, but the nodes have not confirmed it within the time that the request waits."

REQUEST_HEADERS: Mapping[str, dict[str, Any]] = {
    PREFER: {
        "description": "`wait=N` holds the answer until the nodes have confirmed the change, for at most N seconds "
        "(0 to 60; RFC 7240). Without it the answer comes as soon as the change is stored.",
        "schema": {"type": "string", "examples": ["wait=5"]},
    },
    IF_MATCH: {
        "description": "The versions to which the request applies, as given in ETag. If the current version is none of "
        "them, the request is refused with 412 and nothing is changed. Without it any version will do.",
        "schema": {"type": "string", "examples": ['"1"', "*"]},
    },
    IDEMPOTENCY_KEY: {
        "description": "A key of your choice, 1 to 255 printable ASCII characters. A request that is repeated with the "
        "same key within 24 hours is carried out once and gets the same answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["order-4711"]},
    },
    LAST_EVENT_ID: {
        "description": "The id of the last event that you received from a stream. The new stream continues after it.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,19}$", "examples": ["0"]},
    },
}
RESPONSE_HEADERS: Mapping[str, str] = {
    "ETag": "The version of the resource, in quotation marks.",
    "Location": "The path of the resource that was created, or of the one that shows the progress.",
    "Preference-Applied": "The `wait` that was honoured. It is present only if the request had one.",
    "Idempotency-Replayed": "`true` if this is the stored answer to an earlier request with the same key.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteDocs:
    """Documentation that neither the signature nor the return annotation of a handler can express.

    `answers` describes each status below 400, the usual one first; by default it is the handler's status alone. Each
    has the resource of the return annotation as its body, except 204 and those in `bodiless`. `problems` lists the
    kinds that do not follow from the signature (see `master.api.openapi.document.Operation`).
    """

    answers: Mapping[int, str] = field(default_factory=dict[int, str])
    bodiless: Sequence[int] = ()
    bodies: Mapping[int, type[BaseModel]] = field(default_factory=dict[int, type[BaseModel]])
    """Resources of statuses that answer with another one than the return annotation's first."""
    streams: Mapping[MediaType, type[BaseModel] | None] = field(default_factory=dict[MediaType, type[BaseModel] | None])
    """Media types of 200 beside JSON: the model of a list's items, or None for text."""
    gives: Sequence[str] = ()
    """Response headers that do not follow from the signature."""
    problems: Sequence[type[Reported]] = ()
    ignores_parameters: bool = False
    """Unknown parameters are ignored: monitoring systems and users of links add some of their own."""
    copes_without_database: bool = False


def documented(**docs: Any) -> dict[str, RouteDocs]:
    """Make a route part of the OpenAPI document; for its `opt`."""
    return {OPTION: RouteDocs(**docs)}


def docs_of(handler: BaseRouteHandler) -> RouteDocs | None:
    """Return what a route reports of itself; None: it is not part of the document."""
    return handler.opt.get(OPTION)
