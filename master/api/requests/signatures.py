"""Inputs of a handler, read from its signature: the body, the query parameters and the headers.

A handler names its body `data`, its query `parameters`, and each header that it heeds by a name of HEADERS. The checks
of a request and the OpenAPI document follow from these names and their types.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from master.schemas.base import Query, RequestBody

BODY, QUERY = "data", "parameters"
IF_MATCH, PREFER, IDEMPOTENCY_KEY, LAST_EVENT_ID = "If-Match", "Prefer", "Idempotency-Key", "Last-Event-ID"
HEADERS: Mapping[str, str] = {
    "if_match": IF_MATCH,
    "preference": PREFER,
    "idempotency_key": IDEMPOTENCY_KEY,
    "last_event_id": LAST_EVENT_ID,
}
"""The request header that each parameter of a handler stands for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The inputs of a handler; `asks_database` is whether it works with the database."""

    body: type[RequestBody] | None
    needs_body: bool
    query: type[Query] | None
    headers: tuple[str, ...]
    asks_database: bool


@cache
def inputs_of(handler: Callable[..., Any]) -> Inputs:
    """Read the signature of a handler function."""
    hints = get_type_hints(handler)
    default = inspect.signature(handler).parameters.get(BODY)
    return Inputs(
        body=hints.get(BODY),
        needs_body=default is not None and default.default is inspect.Parameter.empty,
        query=hints.get(QUERY),
        headers=tuple(header for name, header in HEADERS.items() if name in hints),
        asks_database="database" in hints,
    )


def returned_types(handler: Callable[..., Any]) -> list[type]:
    """Return the classes in the return annotation, also those in unions and in type arguments."""
    return classes_in(get_type_hints(handler).get("return"))


def classes_in(annotation: Any) -> list[type]:
    """Return every class that an annotation names, outermost first."""
    if get_origin(annotation) is Annotated:
        return classes_in(get_args(annotation)[0])
    own: list[type] = [annotation] if isinstance(annotation, type) else []
    return [*own, *(found for part in get_args(annotation) for found in classes_in(part))]
