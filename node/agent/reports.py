"""Reports to the master: when one is due, and its content."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping

import structlog

from node.agent.broker_links import NodeLinks
from node.agent.live_reports import LiveReports
from node.agent.publisher import Publisher
from node.agent.upgrade_requests import UpgradeReceiver
from node.agent.usage_reports import COLLECT_EVERY_S, UsageReports
from node.reconcile.progress import Progress
from node.reconcile.reconciler import Reconciler
from node.state.local_copy import LocalCopy
from node.state.store import Store
from shared.messages.bodies import TROUBLE_LENGTH, Report, TlsCertificate
from shared.messages.writing import encode, failure_parts, usage_room, usage_size
from shared.tasks import wait_for_event

log = structlog.get_logger()

REPORT_EVERY_S = 15.0
REPORT_AFTER_S = 0.2
"""Shortest time between two reports, so that a burst of changes needs only a few."""
SETTLE_S = 1.0
"""Longest time that a report waits for proxies that are being started."""
LIVE_SHARE = 3
"""Live figures take a third of the room that a report has for them and for counters at most."""


class NodeReports:
    """Reports which proxies the node stores and runs, which failed and why, and the counters of their usage."""

    def __init__(
        self,
        copy: LocalCopy,
        reconciler: Reconciler,
        usage_reports: UsageReports,
        live_reports: LiveReports,
        publisher: Publisher,
        progress: Progress,
        store: Store,
        *,
        version: str,
        engines: Mapping[str, str],
        upgrades: UpgradeReceiver,
        links: NodeLinks,
        certificate: Callable[[], TlsCertificate | None],
    ) -> None:
        """`engines` maps the engines of this node to their versions."""
        self._upgrades, self._links, self._certificate = upgrades, links, certificate
        self._copy, self._reconciler, self._publisher = copy, reconciler, publisher
        self._usage_reports, self._live_reports = usage_reports, live_reports
        self._progress, self._store = progress, store
        self._version, self._engines = version, dict(engines)
        self._due = asyncio.Event()
        self._connected = False
        self._foreign: str | None = None
        self._session, self._number = 0, 0

    def wake(self) -> None:
        """Send a report soon: something has changed."""
        self._due.set()

    def report_connected(self) -> None:
        """Say in the next report that the node has just connected to the broker."""
        self._connected = True
        self.wake()

    def report_foreign(self, cluster: str) -> None:
        """Name in the next report another cluster whose message was refused."""
        self._foreign = cluster
        self.wake()

    async def begin_session(self) -> None:
        """Draw the session number: the master drops reports of sessions older than the last one it has seen."""
        self._session = await asyncio.to_thread(self._store.begin_session)

    async def run(self) -> None:
        """Collect counters and send reports until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_collecting())
            group.create_task(self._keep_reporting())

    async def _keep_collecting(self) -> None:
        """Ask the engines apart from reports, so that a slow engine delays no report."""
        while True:
            await self._usage_reports.collect()
            await self._live_reports.collect(self._usage_reports.counters)
            await asyncio.sleep(COLLECT_EVERY_S)

    async def _keep_reporting(self) -> None:
        while True:
            if await wait_for_event(self._due, REPORT_EVERY_S * random.uniform(0.8, 1.1)):  # noqa: S311 (jitter)
                await self._settle()
            self._due.clear()
            if self._publisher.is_up:
                await self._send()
            await asyncio.sleep(REPORT_AFTER_S)

    async def _settle(self) -> None:
        """Wait a moment for requested records to arrive and start, so that one report covers them all."""
        limit = time.monotonic() + SETTLE_S
        while not self._progress.is_done(self._reconciler.reached) and time.monotonic() < limit:  # noqa: ASYNC110 (a bounded wait for many things)
            await asyncio.sleep(0.01)

    async def _send(self) -> None:
        connected, foreign = self._connected, self._foreign
        digests = self._copy.digests()
        for failures, first, last in failure_parts(self._reconciler.failures()):
            self._number += 1
            report = self._report(digests, connected=connected, foreign=foreign).model_copy(
                update={"failed": tuple(failures), "failed_from": first, "failed_to": last}
            )
            room = usage_room(report)
            live = self._live_reports.next(room // LIVE_SHARE)
            usage = self._usage_reports.next(room - sum(map(usage_size, live)))
            filled = report.model_copy(update={"usage": usage, "live": live})
            if not await self._publisher.publish("report", encode(filled)):
                return
            self._live_reports.sent(live)
            await self._usage_reports.sent(usage)
        self._connected, self._foreign = False, None
        if self._usage_reports.more or self._live_reports.more:
            self.wake()

    def _report(self, digests: tuple[str, str], *, connected: bool, foreign: str | None) -> Report:
        """Build a report without failures, counters and live figures, which `_send` adds."""
        copy, reconciler = self._copy, self._reconciler
        return Report(
            rev=copy.rev,
            seen=copy.seen,
            top=copy.top,
            digest=digests[0],
            content=digests[1],
            count=len(copy.proxies),
            running=reconciler.running_count(),
            missing=len(copy.missing()),
            done=self._progress.done(copy.rev, reconciler.reached),
            held=copy.held,
            trouble=self._store.write_error[:TROUBLE_LENGTH],
            foreign=foreign,
            connected=connected,
            session=self._session,
            number=self._number,
            agent=self._version,
            engines=self._engines,
            load=self._live_reports.load,
            upgrade=self._upgrades.report,
            broker=self._links.report,
            tls_certificate=self._certificate(),
        )
