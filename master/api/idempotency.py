"""Answers kept for 24 hours by the key that the asker chose, so that a repeated request is not done twice."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from master.db.database import Session
from master.errors import Invalid


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyedRequest:
    """A request with its key."""

    key: str
    request_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredResponse:
    """What was answered; `body` is JSON and may hold secrets of its asker."""

    status: int
    headers: Mapping[str, str]
    body: str = field(repr=False)


def keyed_request(key: str, path: str, body: str) -> KeyedRequest:
    """The request by which a repetition is known; `body` in a canonical spelling."""
    return KeyedRequest(key=key, request_hash=hashlib.sha256(f"{path}\n{body}".encode()).hexdigest())


async def recall(session: Session, query: KeyedRequest) -> StoredResponse | None:
    """The answer that was given already; another request with this key waits until the transaction ends.

    Raises Invalid when the key was used for another request.
    """
    await session.execute("idempotency.lock", key=query.key)
    row = await session.row("idempotency.select_one", key=query.key)
    if row is None:
        return None
    if row["request_hash"] != query.request_hash:
        raise Invalid(
            "this Idempotency-Key was used for another request",
            {"errors": [{"header": "Idempotency-Key", "detail": "used for another path or body"}]},
        )
    return StoredResponse(status=row["status"], headers=row["headers"], body=row["body"])


async def remember(session: Session, query: KeyedRequest, answer: StoredResponse) -> None:
    """Keep the answer, and forget what is older than a day."""
    await session.execute("idempotency.forget")
    await session.execute(
        "idempotency.insert",
        key=query.key,
        request_hash=query.request_hash,
        status=answer.status,
        headers=dict(answer.headers),
        body=answer.body,
    )
