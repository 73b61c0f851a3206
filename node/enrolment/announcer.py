"""Announces a node that has an invitation to its master, again and again until it is enrolled."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from node.enrolment.http_post import PostAnswer, PostFailed, post_json
from node.enrolment.invited import InvitedChallenge
from shared.enrolment.invitation import AnnouncementAnswer
from shared.tasks import Backoff, wait_for_event

log = structlog.get_logger()

WRONG_CODE = "the master does not know this invitation, or its code is wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long the node waits, in seconds: for the master's call, for the end of the enrolment, and after a refusal."""

    call_s: float = 60.0
    config_s: float = 30.0
    login_s: float = 300.0
    closed_s: float = 600.0
    retry_most_s: float = 60.0
    busy_most_s: float = 300.0


class Announcer:
    """Announces the node to the master at `url`, from the local address `source`, None: any."""

    def __init__(
        self,
        url: str,
        invited: InvitedChallenge,
        *,
        source: str | None,
        is_accepted: Callable[[], bool],
        on_closed: Callable[[], Awaitable[None]],
        pace: Pace | None = None,
    ) -> None:
        """`is_accepted` tells whether the node has its configuration; `on_closed` is called once it needs another way.

        A configuration may have the login that another master has replaced, so only the broker ends this.
        """
        self._url, self._invited, self._source = f"{url}/announce", invited, source
        self._is_accepted, self._on_closed = is_accepted, on_closed
        self._pace = pace or Pace()
        self._backoff = Backoff(first_s=2.0, most_s=self._pace.retry_most_s, floor_s=0.5)

    async def run(self) -> None:
        """Announce the node until cancelled."""
        log.info("invitation.waiting", invitation_id=self._invited.invitation.id, master=self._url)
        while True:
            pause_s = await self.turn()
            await asyncio.sleep(pause_s)

    async def turn(self) -> float:
        """Announce the node once and wait for what follows. Returns the seconds until the next time."""
        if self._is_accepted():
            await asyncio.sleep(self._pace.login_s)
        body = self._invited.renew().model_dump_json(exclude_none=True).encode()
        try:
            answer = await post_json(self._url, body, source=self._source)
        except PostFailed as error:
            return self._failed(error.reason)
        return await self._follow(answer)

    async def _follow(self, answer: PostAnswer) -> float:
        read = read_answer(answer)
        match answer.status:
            case 202 if read.ip is not None:
                self._backoff.reset()
                await self._wait_for_call(read.ip)
                return jittered(1.0)
            case 410 | 422:
                return await self._closed(read.reason or "no reason is given")
            case 403:
                return await self._closed(WRONG_CODE)
            case 429 | 503:
                wait_s = min(answer.retry_after_s or 5, self._pace.busy_most_s)
                log.info("invitation.master_busy", again_in_s=wait_s)
                return jittered(max(1.0, wait_s))
            case _:
                return self._failed(f"it answers {answer.status}")

    async def _wait_for_call(self, ip: str) -> None:
        self._invited.accepted(ip)
        log.info("invitation.announced", ip=ip)
        if await wait_for_event(self._invited.called, self._pace.call_s):
            await asyncio.sleep(self._pace.config_s)
        else:
            log.warning("invitation.not_called", reason="the master did not reach this node's port", ip=ip)

    async def _closed(self, reason: str) -> float:
        """Say why the invitation does not serve, and have the node wait for an operator as well."""
        wait_s = jittered(self._pace.closed_s)
        log.warning("invitation.refused", reason=printable(reason), again_in_s=round(wait_s))
        if not self._invited.is_closed:
            self._invited.is_closed = True
            await self._on_closed()
        return wait_s

    def _failed(self, reason: str) -> float:
        wait_s = self._backoff.next()
        log.warning("invitation.not_announced", master=self._url, reason=reason, again_in_s=round(wait_s, 1))
        return wait_s


def read_answer(answer: PostAnswer) -> AnnouncementAnswer:
    """Read the body of an answer; one that cannot be read has no members."""
    try:
        return AnnouncementAnswer.model_validate_json(answer.body)
    except ValidationError:
        return AnnouncementAnswer()


def printable(text: str) -> str:
    """Replace characters that a terminal might obey."""
    return "".join(each if each.isprintable() else "?" for each in text)


def jittered(seconds: float) -> float:
    """Return this time with up to a quarter more, so that nodes that start together do not stay together."""
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 (jitter, not a secret)
