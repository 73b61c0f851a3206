"""What a route tells of itself for the OpenAPI document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from master.errors import Reported
from master.schemas.media_types import MediaType

PREFER = "Prefer"
IF_MATCH = "If-Match"
IDEMPOTENCY_KEY = "Idempotency-Key"
LAST_EVENT_ID = "Last-Event-ID"

REQUEST_HEADERS: Mapping[str, dict[str, Any]] = {
    PREFER: {
        "description": "wait=N: hold the answer until the nodes have confirmed, at most N seconds, 0 to 60 (RFC 7240).",
        "schema": {"type": "string", "examples": ["wait=30"]},
    },
    IF_MATCH: {
        "description": "Versions, as in ETag. If the present version is none of them, nothing is done (412).",
        "schema": {"type": "string", "examples": ['"1"', "*"]},
    },
    IDEMPOTENCY_KEY: {
        "description": "A key of your choice. Within 24 hours the same request with the same key is done once and "
        "answered alike.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["order-4711"]},
    },
    LAST_EVENT_ID: {
        "description": "The id of the last event that a stream gave. The new stream goes on after it.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,19}$", "examples": ["0"]},
    },
}
RESPONSE_HEADERS: Mapping[str, str] = {
    "ETag": "The version, quoted.",
    "Location": "The path of the new resource, or of the one to look at.",
    "Preference-Applied": "The wait that was honoured.",
    "Idempotency-Replayed": "true: this is the stored answer to an earlier request with the same key.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteDocs:
    """`answers` gives each status below 400 its model, None for no body; `problems` the kinds beside the usual ones.

    The usual ones follow from the rest, see `master.api.openapi.problems`.
    """

    query: type[BaseModel] | None = None
    any_query: bool = False
    """Parameters are ignored: monitoring systems and users of links add some of their own."""
    body: type[BaseModel] | None = None
    needs_body: bool = True
    answers: Mapping[int, type[BaseModel] | None]
    headers: Sequence[str] = ()
    gives: Sequence[str] = ()
    problems: Sequence[type[Reported]] = ()
    asks_database: bool = True
    streams: Mapping[MediaType, type[BaseModel] | None] = field(default_factory=dict[MediaType, type[BaseModel] | None])
    """Media types of 200 beside the model's JSON: the model of a list's items, or None for text."""
    words: Mapping[int, str] = field(default_factory=dict[int, str])


def documented(**what: Any) -> dict[str, RouteDocs]:
    """For a route's `opt`."""
    return {"told": RouteDocs(**what)}
