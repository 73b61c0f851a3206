"""Answers to the wire, each once for its Idempotency-Key."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Response

from master.api.dependencies import Wiring
from master.api.encoding import written
from master.api.idempotency import KeyedRequest, StoredResponse, keyed_request, recall, remember
from master.api.requests.reading import ApiRequest, read_key
from master.db.constraints import writing
from master.db.database import Session
from master.schemas.base import RequestBody, Resource
from master.schemas.media_types import MediaType


def keyed_request_of(request: ApiRequest, wish: RequestBody) -> KeyedRequest | None:
    """The request as its Idempotency-Key marks it; None without one. Raises Invalid."""
    key = read_key(request.headers.get("idempotency-key"))
    return keyed_request(key, request.url.path, wish.model_dump_json(exclude_unset=True)) if key is not None else None


async def once(
    wiring: Wiring, query: KeyedRequest | None, act: Callable[[Session], Awaitable[StoredResponse]]
) -> tuple[StoredResponse, bool]:
    """What `act` answers in its transaction, or what was answered before; and whether it was before.

    What is only tried out neither uses a key nor is answered from memory.
    """
    query = None if wiring.database.is_dry_run else query
    async with writing(wiring.database) as session:
        if query is not None and (kept := await recall(session, query)) is not None:
            return kept, True
        stored_response = await act(session)
        if query is not None:
            await remember(session, query, stored_response)
    return stored_response, False


def stored_response(resource: Resource, status: int, headers: Mapping[str, str] | None = None) -> StoredResponse:
    """This thing as JSON."""
    return StoredResponse(status=status, headers=headers or {}, body=resource.model_dump_json())


def response(
    given: StoredResponse, *, replayed: bool = False, headers: Mapping[str, str] | None = None
) -> Response[Any]:
    """To the wire."""
    marked = {"Idempotency-Replayed": "true"} if replayed else {}
    headers = {**given.headers, **marked, **(headers or {})}
    return written(given.body.encode(), MediaType.JSON, status=given.status, headers=headers)


def resource_response(thing: Resource, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """This thing to the wire."""
    return response(stored_response(thing, status, headers))
