"""Answers to the wire, each once for its Idempotency-Key."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Response

from master.api.dependencies import Wiring
from master.api.encoding import written
from master.api.idempotency import Answer, Keyed, keyed, recall, remember
from master.api.requests.reading import Asked, read_key
from master.db.constraints import writing
from master.db.database import Session
from master.schemas.base import Shown, Wish
from master.schemas.media_types import MediaType


def asked_with_key(request: Asked, wish: Wish) -> Keyed | None:
    """The request as its Idempotency-Key marks it; None without one. Raises Invalid."""
    key = read_key(request.headers.get("idempotency-key"))
    return keyed(key, request.url.path, wish.model_dump_json(exclude_unset=True)) if key is not None else None


async def once(wiring: Wiring, asked: Keyed | None, act: Callable[[Session], Awaitable[Answer]]) -> tuple[Answer, bool]:
    """What `act` answers in its transaction, or what was answered before; and whether it was before.

    What is only tried out neither uses a key nor is answered from memory.
    """
    asked = None if wiring.database.is_rehearsal else asked
    async with writing(wiring.database) as session:
        if asked is not None and (kept := await recall(session, asked)) is not None:
            return kept, True
        answer = await act(session)
        if asked is not None:
            await remember(session, asked, answer)
    return answer, False


def answer(shown: Shown, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """This thing as JSON."""
    return Answer(status=status, headers=headers or {}, body=shown.model_dump_json())


def response(given: Answer, *, replayed: bool = False, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """To the wire."""
    marked = {"Idempotency-Replayed": "true"} if replayed else {}
    headers = {**given.headers, **marked, **(headers or {})}
    return written(given.body.encode(), MediaType.JSON, status=given.status, headers=headers)


def shown(thing: Shown, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """This thing to the wire."""
    return response(answer(thing, status, headers))
