"""What a route tells of itself for the OpenAPI document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

PREFER = "Prefer"
IF_MATCH = "If-Match"
IDEMPOTENCY_KEY = "Idempotency-Key"
LAST_EVENT_ID = "Last-Event-ID"

REQUEST_HEADERS: Mapping[str, str] = {
    PREFER: "wait=N: hold the answer until the nodes have confirmed, N seconds (0 to 60) at most (RFC 7240)",
    IF_MATCH: "versions, as in ETag; when the present one is none of them, nothing is done (412)",
    IDEMPOTENCY_KEY: "your choice; within 24 hours the same request with the same key is done once and answered alike",
    LAST_EVENT_ID: "id of the last event that a stream told: it goes on after it",
}
RESPONSE_HEADERS: Mapping[str, str] = {
    "ETag": "the version, quoted",
    "Location": "path of what was made",
    "Preference-Applied": "the wait that was honoured",
    "Idempotency-Replayed": "true: answered out of memory",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """`answers` gives each status below 400 its model, None for no body; `problems` the statuses beside the usual."""

    query: type[BaseModel] | None = None
    any_query: bool = False
    """Parameters are ignored: monitoring systems and users of links add some of their own."""
    body: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | None]
    headers: Sequence[str] = ()
    gives: Sequence[str] = ()
    problems: Sequence[int] = ()
    streams: Sequence[str] = ()
    """The media types of 200 that are not of a model, when a stream is asked for."""
    words: Mapping[int, str] = field(default_factory=dict[int, str])


def told(**what: Any) -> dict[str, Told]:
    """For a route's `opt`."""
    return {"told": Told(**what)}
