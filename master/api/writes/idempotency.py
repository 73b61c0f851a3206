"""Keeps answers for 24 hours by the client's Idempotency-Key, so that a repeated request is not carried out twice."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from litestar import Response

from master.api.encoding import written
from master.db.constraints import writing
from master.db.database import Database, Session
from master.errors import Invalid
from master.schemas.access import present_access
from master.schemas.base import RequestBody, Resource
from master.schemas.media_types import MediaType


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyedRequest:
    """A request with its key; `request_hash` distinguishes a repetition from another request.

    Each token has keys of its own, and `token_id` 0 those of requests without a token.
    """

    token_id: int
    key: str
    request_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyKey:
    """The Idempotency-Key of a request to this path; None without one."""

    key: str | None
    path: str

    def of(self, body: RequestBody) -> KeyedRequest | None:
        """The request with this body as its key marks it; None without a key."""
        if self.key is None:
            return None
        text = f"{self.path}\n{body.model_dump_json(exclude_unset=True)}"
        hash_ = hashlib.sha256(text.encode()).hexdigest()
        return KeyedRequest(token_id=present_access().token_id or 0, key=self.key, request_hash=hash_)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredResponse:
    """An answer; `body` is JSON and may hold secrets of the client."""

    status: int
    headers: Mapping[str, str]
    body: str = field(repr=False)


async def recall(session: Session, request: KeyedRequest) -> StoredResponse | None:
    """Return the stored answer, if there is one; another request with this key waits until the transaction ends.

    Raises Invalid when the key was used for another request.
    """
    await session.execute("idempotency.lock", token_id=request.token_id, key=request.key)
    row = await session.row("idempotency.select_one", token_id=request.token_id, key=request.key)
    if row is None:
        return None
    if row["request_hash"] != request.request_hash:
        raise Invalid(
            "this Idempotency-Key was used for another request",
            {"errors": [{"header": "Idempotency-Key", "detail": "used for another path or body"}]},
        )
    return StoredResponse(status=row["status"], headers=row["headers"], body=row["body"])


async def remember(session: Session, request: KeyedRequest, answer: StoredResponse) -> None:
    """Store the answer, and delete answers that are older than a day."""
    await session.execute("idempotency.forget")
    await session.execute(
        "idempotency.insert",
        token_id=request.token_id,
        key=request.key,
        request_hash=request.request_hash,
        status=answer.status,
        headers=dict(answer.headers),
        body=answer.body,
    )


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
    """Send a stored answer; a repeated one is marked."""
    marked = {"Idempotency-Replayed": "true"} if is_repeated else {}
    headers = {**stored.headers, **marked}
    return written(stored.body.encode(), MediaType.JSON, status=stored.status, headers=headers)
