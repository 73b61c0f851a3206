"""Requests to the master for the records that the node lacks (need-sync), repeated until they arrive."""

import asyncio

from node.agent.publisher import Publisher
from node.state.local_copy import LocalCopy
from shared.messages.bodies import ASK_LIMIT, NeedSync
from shared.messages.writing import encode
from shared.tasks import Backoff, wait_for_event

CHECK_EVERY_S = 15.0
"""Time between two checks while no record is missing."""


class RecordRequests:
    """Requests missing records at once, and again with back-off while they do not arrive."""

    def __init__(self, copy: LocalCopy, publisher: Publisher) -> None:
        self._copy, self._publisher = copy, publisher
        self._pending: set[int] = set()
        self._due = asyncio.Event()
        self._backoff = Backoff(first_s=2.0)

    def wake(self) -> None:
        """Check now which records are missing: the copy has changed."""
        self._due.set()

    def forget_pending(self) -> None:
        """Expect no answer to earlier requests, so that the next check repeats them."""
        self._pending.clear()

    def reset(self) -> None:
        """Forget earlier requests and the back-off: a new list has arrived."""
        self.forget_pending()
        self._backoff.reset()

    async def run(self) -> None:
        """Request missing records until cancelled."""
        while True:
            missing = self._copy.missing()
            awaited = self._pending.intersection(missing)
            if missing and not awaited:
                await self._request(missing[:ASK_LIMIT])
            wait = self._backoff.next() + 1.0 if missing else CHECK_EVERY_S
            if await wait_for_event(self._due, wait):
                self._due.clear()
            else:
                self.forget_pending()

    async def _request(self, ids: list[int]) -> None:
        if await self._publisher.publish("need-sync", encode(NeedSync(ids=tuple(ids)))):
            self._pending = set(ids)
