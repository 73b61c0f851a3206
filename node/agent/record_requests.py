"""Asks the master for the records that the node lacks, until they are there."""

import asyncio

from node.agent.publisher import Publisher
from node.state.local_copy import LocalCopy
from shared.messages.bodies import ASK_LIMIT, NeedSync
from shared.messages.writing import encode
from shared.tasks import Backoff, wait_for_event

LOOK_EVERY_S = 15.0
"""While nothing is known to be missing."""


class RecordRequests:
    """At once when something becomes known to be missing, again with back-off while it does not come."""

    def __init__(self, copy: LocalCopy, uplink: Publisher) -> None:
        """What is missing is told by the copy."""
        self._copy, self._uplink = copy, uplink
        self._asked: set[int] = set()
        self._due = asyncio.Event()
        self._again = Backoff(first_s=2.0)

    def wake(self) -> None:
        """Something has come, or is wanted: look what is missing now."""
        self._due.set()

    def forget(self) -> None:
        """What was asked for is not awaited any more."""
        self._asked.clear()

    def begin_anew(self) -> None:
        """Another list has come."""
        self.forget()
        self._again.reset()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            missing = self._copy.missing()
            awaited = self._asked.intersection(missing)
            if missing and not awaited:
                await self._ask_for(missing[:ASK_LIMIT])
            wait = self._again.next() + 1.0 if missing else LOOK_EVERY_S
            if await wait_for_event(self._due, wait):
                self._due.clear()
            else:
                self.forget()

    async def _ask_for(self, ids: list[int]) -> None:
        if await self._uplink.say("need-sync", encode(NeedSync(ids=tuple(ids)))):
            self._asked = set(ids)
