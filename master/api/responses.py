"""Makes answers out of resources, and carries out a request with an Idempotency-Key only once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from litestar import Response
from litestar.serialization import default_serializer

from master.api.encoding import written
from master.api.writes.idempotency import KeyedRequest, StoredResponse, recall, remember
from master.db.constraints import writing
from master.db.database import Database, Session
from master.schemas.base import Resource
from master.schemas.media_types import MediaType

T = TypeVar("T")
R = TypeVar("R", bound=Resource)


class ResourceResponse(Response[T]):
    """An answer whose content is a resource, encoded by pydantic as the OpenAPI document describes it."""

    def render(self, content: Any, media_type: str, enc_hook: Any = default_serializer) -> bytes:
        """Encode the content."""
        if isinstance(content, Resource):
            return content.model_dump_json().encode()
        return super().render(content, media_type, enc_hook)


def respond(resource: R, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[R]:
    """Answer with this resource, where the status or the headers are not those of the route."""
    return ResourceResponse(resource, status_code=status, media_type=MediaType.JSON, headers=dict(headers or {}))


async def once(
    database: Database, keyed: KeyedRequest | None, act: Callable[[Session], Awaitable[StoredResponse]]
) -> tuple[StoredResponse, bool]:
    """Carry out `act` in a transaction, unless the request was answered before; return the answer and whether it was.

    A dry run neither uses a key nor is answered from memory.
    """
    keyed = None if database.is_dry_run else keyed
    async with writing(database) as session:
        if keyed is not None and (stored := await recall(session, keyed)) is not None:
            return stored, True
        answer = await act(session)
        if keyed is not None:
            await remember(session, keyed, answer)
    return answer, False


def stored_response(resource: Resource, status: int, headers: Mapping[str, str] | None = None) -> StoredResponse:
    """Encode an answer, so that it can be stored."""
    return StoredResponse(status=status, headers=headers or {}, body=resource.model_dump_json())


def replay(stored: StoredResponse, *, is_repeated: bool = False) -> Response[Any]:
    """Send a stored answer; one that is repeated says so."""
    marked = {"Idempotency-Replayed": "true"} if is_repeated else {}
    headers = {**stored.headers, **marked}
    return written(stored.body.encode(), MediaType.JSON, status=stored.status, headers=headers)
