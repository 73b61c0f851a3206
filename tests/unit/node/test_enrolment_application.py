"""The ASGI application of a waiting node, without a server around it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from node.enrolment.application import BODY_LIMIT, Application
from shared.asgi import Answer
from shared.enrolment.bodies import REFUSED, Box

Events = Callable[[], Awaitable[dict[str, Any]]]


async def read_box(body: bytes) -> Answer:
    return Answer(200, Box.model_validate_json(body).box.encode())


async def full_disk(_: bytes) -> Answer:
    raise OSError(28, "No space left on device")


def events(pieces: Iterable[bytes], *, ends: bool = True) -> Events:
    """What a server passes on of a body; without an end, nothing more ever comes."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left) or not ends}

    return receive


async def answer_to(receive: Events, *, path: str = "/box", length: int | None = None) -> tuple[int, bytes] | None:
    """The status and the body; None if nothing was sent."""
    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    headers = [(b"content-length", b"%d" % length)] if length is not None else []
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    application = Application({"/box": read_box, "/full": full_disk}, body_s=0.05)
    await application(scope, receive, send)
    return (sent[0]["status"], sent[1]["body"]) if sent else None


async def test_a_body_is_joined_from_its_pieces():
    assert await answer_to(events([b'{"box":', b'"x"', b"}"])) == (200, b"x")


async def test_a_body_that_stays_away_is_given_up():
    assert await answer_to(events([b'{"box":'], ends=False)) == (408, REFUSED)


async def test_a_body_that_is_announced_too_long_is_not_waited_for():
    assert await answer_to(events([]), length=BODY_LIMIT + 1) == (413, REFUSED)


async def test_a_body_that_grows_too_long_is_refused_before_its_end():
    assert await answer_to(events([b" " * BODY_LIMIT, b" "], ends=False), length=1) == (413, REFUSED)


async def test_a_disk_that_refuses_is_answered_for_in_the_same_words():
    assert await answer_to(events([b"{}"]), path="/full") == (500, REFUSED)


async def test_a_caller_who_hangs_up_gets_nothing():
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert await answer_to(receive) is None
