"""Dependencies of handlers that every route may name: what a request's headers ask for."""

from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from master.api.openapi.route_docs import docs_of
from master.api.requests.reading import ApiRequest, read_if_match, read_key, read_query
from master.api.requests.signatures import inputs_of
from master.api.writes.idempotency import IdempotencyKey
from master.schemas.base import Query

T = TypeVar("T")

Injected: TypeAlias = NamedDependency[SkipValidation[T]]
"""A parameter of a handler that is provided by its name; it is already what its type names, so nothing converts it."""
IfMatch: TypeAlias = frozenset[int] | None
"""The versions that a change is meant for; None: any."""


def parameters_of(request: ApiRequest) -> Query | None:
    """Read the query string as the type of the handler's `parameters` demands. Raises Invalid."""
    handler = request.route_handler
    kind, docs = inputs_of(handler.fn).query, docs_of(handler)
    return read_query(request, kind, others=docs is not None and docs.ignores_parameters) if kind is not None else None


def if_match_of(request: ApiRequest) -> IfMatch:
    """Read If-Match."""
    return read_if_match(request.headers.get("if-match"))


def idempotency_key_of(request: ApiRequest) -> IdempotencyKey:
    """Read Idempotency-Key. Raises Invalid."""
    return IdempotencyKey(key=read_key(request.headers.get("idempotency-key")), path=request.url.path)
