"""Reports to the master: when one is due, and what it says."""

import asyncio
import random
import time
from collections.abc import Mapping

import structlog

from node.agent.publisher import Publisher
from node.agent.usage_reports import UsageReports
from node.reconcile.progress import Progress
from node.reconcile.reconciler import Reconciler
from node.state.local_copy import LocalCopy
from node.state.store import Store
from shared.messages.bodies import TROUBLE_LENGTH, Report
from shared.messages.writing import encode, failure_parts, usage_room
from shared.tasks import wait_for_event

log = structlog.get_logger()

REPORT_EVERY_S = 15.0
REPORT_AFTER_S = 0.2
"""Between two reports of changes: a burst of changes melts into few reports."""
SETTLE_S = 1.0
"""A report waits this long for proxies that are just being started."""


class NodeReports:
    """One node's: of what it holds and runs, of what failed, and of what its proxies were used for."""

    def __init__(
        self,
        copy: LocalCopy,
        supervisor: Reconciler,
        tellings: UsageReports,
        uplink: Publisher,
        progress: Progress,
        store: Store,
        *,
        version: str,
        engines: Mapping[str, str],
    ) -> None:
        """`engines` maps the engines that this node has to their versions."""
        self._copy, self._supervisor, self._tellings, self._uplink = copy, supervisor, tellings, uplink
        self._progress, self._store = progress, store
        self._version, self._engines = version, dict(engines)
        self._due = asyncio.Event()
        self._connected = False
        self._foreign: str | None = None
        self._session, self._number = 0, 0

    def wake(self) -> None:
        """Something has changed."""
        self._due.set()

    def tell_connected(self) -> None:
        """The bus is connected."""
        self._connected = True
        self.wake()

    def tell_foreign(self, cluster: str) -> None:
        """A message of another cluster was refused."""
        self._foreign = cluster
        self.wake()

    async def begin_session(self) -> None:
        """The master drops reports of sessions before the last one it heard of."""
        self._session = await asyncio.to_thread(self._store.begin_session)

    async def run(self) -> None:
        """Count and report until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tellings.run())
            group.create_task(self._keep_reporting())

    async def _keep_reporting(self) -> None:
        while True:
            if await wait_for_event(self._due, REPORT_EVERY_S * random.uniform(0.8, 1.1)):  # noqa: S311 (jitter)
                await self._settle()
            self._due.clear()
            if self._uplink.is_up:
                await self._send()
            await asyncio.sleep(REPORT_AFTER_S)

    async def _settle(self) -> None:
        """Let what was asked for come and be tried, so that one report says it all."""
        limit = time.monotonic() + SETTLE_S
        while not self._progress.is_done(self._supervisor.reached) and time.monotonic() < limit:  # noqa: ASYNC110 (a bounded wait for many things)
            await asyncio.sleep(0.01)

    async def _send(self) -> None:
        connected, foreign = self._connected, self._foreign
        digests = self._copy.digests()
        for failures, first, last in failure_parts(self._supervisor.failures()):
            self._number += 1
            report = self._told(digests, connected=connected, foreign=foreign).model_copy(
                update={"failed": tuple(failures), "failed_from": first, "failed_to": last}
            )
            usage = self._tellings.next(usage_room(report))
            if not await self._uplink.say("report", encode(report.model_copy(update={"usage": usage}))):
                return
            await self._tellings.sent(usage)
        self._connected, self._foreign = False, None
        if self._tellings.more:
            self.wake()

    def _told(self, digests: tuple[str, str], *, connected: bool, foreign: str | None) -> Report:
        """A report of everything but failures and counters."""
        copy, supervisor = self._copy, self._supervisor
        return Report(
            rev=copy.rev,
            seen=copy.seen,
            top=copy.top,
            digest=digests[0],
            content=digests[1],
            count=len(copy.holdings),
            running=supervisor.running_count(),
            missing=len(copy.missing()),
            done=self._progress.done(copy.rev, supervisor.reached),
            held=copy.held,
            trouble=self._store.trouble[:TROUBLE_LENGTH],
            foreign=foreign,
            connected=connected,
            session=self._session,
            number=self._number,
            agent=self._version,
            engines=self._engines,
        )
