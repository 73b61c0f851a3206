"""Between the bus and the local copy: takes messages, asks for what is missing, reports."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from node.errors import StoreFailed
from node.local_copy import Change, Holding, LocalCopy, on_list, on_records
from node.store import Store
from node.supervisor import Supervisor
from node.usage import Tellings
from shared.bus import Bus
from shared.bus.envelopes import Incoming, Outgoing
from shared.bus.failures import BusDown
from shared.messages import ASK_LIMIT, WIRE_VERSION, CheckSync, Header, MessageType, NeedSync, Report, Sync
from shared.messages.assembly import Assemblies, assemble
from shared.messages.reading import Unreadable, decode, decode_header
from shared.messages.routes import MASTER_EXCHANGE, report_key
from shared.messages.writing import encode, failure_parts, usage_room
from shared.proxies import NodeId
from shared.tasks import Backoff, wait_for_event

log = structlog.get_logger()

REPORT_EVERY_S = 15.0
REPORT_AFTER_S = 0.2
"""Between two reports of changes: a burst of changes melts into few reports."""
SETTLE_S = 1.0
"""A report waits this long for proxies that are just being started."""


class Agent:
    """One node's side of the protocol. `bus` is set while there is a link; without one it works on alone."""

    def __init__(
        self,
        *,
        node_id: NodeId,
        cluster: str,
        copy: LocalCopy,
        store: Store,
        supervisor: Supervisor,
        tellings: Tellings,
        version: str,
        engines: Mapping[str, str],
    ) -> None:
        """`engines` maps the engines that this node has to their versions."""
        self._node_id, self._cluster, self._copy, self._store = node_id, cluster, copy, store
        self._supervisor, self._tellings = supervisor, tellings
        self._version, self._engines = version, dict(engines)
        self._assemblies: Assemblies = {}
        self._round: str | None = None
        self._writing = asyncio.Lock()
        """Held from reading the copy for a change of it until the change is taken."""
        self._asked: set[int] = set()
        self._ask, self._report = asyncio.Event(), asyncio.Event()
        self._ask_again = Backoff(first_s=2.0)
        self._connected = False
        self._foreign: str | None = None
        self._session, self._number = 0, 0
        self.bus: Bus | None = None

    async def handle(self, message: Incoming) -> None:
        """Take one message of the master. It is acknowledged when this returns: by then the copy is on disk."""
        try:
            header = decode_header(message.headers)
            body = decode(message.type, message.body)
        except Unreadable as error:
            log.warning("message.unreadable", type=message.type, message_id=message.message_id, reason=str(error))
            return
        if header.cluster != self._cluster or header.node != self._node_id:
            log.error("message.foreign", type=message.type, cluster=header.cluster, node_id=header.node)
            self._foreign = header.cluster
            self._report.set()
            return
        match body:
            case CheckSync():
                await self._on_part(message.round or "", header, body)
            case Sync(items=items):
                await self._take(lambda: on_records(self._copy, header, items))
            case NeedSync() | Report():
                log.warning("message.unexpected", type=message.type)

    async def came_up(self) -> None:
        """The bus is connected: say so, and ask anew for what is missing."""
        self._connected = True
        self._asked.clear()
        self._ask.set()
        self._report.set()

    async def reconciled(self, ran: list[Holding]) -> None:
        """The supervisor changed something; the records of `ran` run now, so each is good to fall back on."""
        self._report.set()
        news = [replace(holding, good=holding.record) for holding in ran if holding.good is not holding.record]
        if not news:
            return
        async with self._writing:
            current = [holding for holding in news if self._holds(holding)]
            self._copy.holdings.update({holding.id: holding for holding in current})
            try:
                await asyncio.to_thread(self._store.mark_good, current)
            except StoreFailed as error:
                log.error("store.write_failed", reason=str(error))

    async def run(self) -> None:
        """Ask, count and report until cancelled."""
        await self._begin_session()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_asking())
            group.create_task(self._keep_reporting())
            group.create_task(self._tellings.run())

    async def _begin_session(self) -> None:
        """The master drops reports of sessions before the last one it heard of."""
        try:
            self._session = await asyncio.to_thread(self._store.begin_session)
        except StoreFailed as error:
            log.error("store.write_failed", reason=str(error))
            self._session = int(time.time() * 1000)

    def _holds(self, holding: Holding) -> bool:
        held = self._copy.holdings.get(holding.id)
        return held is not None and held.record is holding.record

    async def _on_part(self, round_: str, header: Header, body: CheckSync) -> None:
        self._assemblies, pairs = assemble(self._assemblies, round_, header, body)
        if pairs is None:
            return
        self._round = round_
        held = self._copy.held
        self._asked.clear()
        self._ask_again.reset()
        change = await self._take(lambda: on_list(self._copy, header, pairs))
        if change.held is not None and change.held != held:
            log.error("list.held", rev=header.rev, stops=change.held.stops, of=change.held.of)
        if header.requests and change.verdict == "taken":
            news = {"stopped": len(change.drop), "wanted": len(self._copy.missing())}
            log.info("list.taken", rev=header.rev, request_ids=header.requests, **news)
        self._report.set()

    async def _take(self, decide: Callable[[], Change]) -> Change:
        """Decide on the copy as it is; disk first, then memory. A disk that refuses leaves everything as it was."""
        async with self._writing:
            change = decide()
            if change.verdict != "stale" or (change.seen, change.top) != (self._copy.seen, self._copy.top):
                try:
                    await asyncio.to_thread(self._store.write, change)
                except StoreFailed as error:
                    log.error("store.write_failed", reason=str(error))
                    return change
                self._copy.take(change)
        self._tell(change)
        return change

    def _tell(self, change: Change) -> None:
        """Whoever has something to do with what has come."""
        self._ask.set()
        if change.touched:
            self._supervisor.wake(change.touched)
        if change.put:
            self._report.set()

    async def _keep_asking(self) -> None:
        """Ask for what is missing: at once when it becomes known, again with back-off while it does not come."""
        while True:
            missing = self._copy.missing()
            awaited = self._asked.intersection(missing)
            if missing and not awaited:
                await self._ask_for(missing[:ASK_LIMIT])
            wait = self._ask_again.next() + 1.0 if missing else REPORT_EVERY_S
            if await wait_for_event(self._ask, wait):
                self._ask.clear()
            else:
                self._asked.clear()

    async def _ask_for(self, ids: list[int]) -> None:
        if await self._publish("need-sync", encode(NeedSync(ids=tuple(ids)))):
            self._asked = set(ids)

    async def _keep_reporting(self) -> None:
        while True:
            if await wait_for_event(self._report, REPORT_EVERY_S * random.uniform(0.8, 1.1)):  # noqa: S311 (jitter)
                await self._settle()
            self._report.clear()
            if self.bus is not None and self.bus.state == "up":
                await self._send_report()
            await asyncio.sleep(REPORT_AFTER_S)

    async def _settle(self) -> None:
        """Let what was asked for come and be tried, so that one report says it all."""
        limit = time.monotonic() + SETTLE_S
        while self._is_unsettled() and time.monotonic() < limit:  # noqa: ASYNC110 (a bounded wait for many things)
            await asyncio.sleep(0.01)

    def _is_unsettled(self) -> bool:
        return bool(self._copy.missing()) or self._supervisor.starting() > 0

    async def _send_report(self) -> None:
        connected, foreign = self._connected, self._foreign
        digests = self._copy.digests()
        for failures, first, last in failure_parts(self._supervisor.failures()):
            self._number += 1
            report = self._told(digests, connected=connected, foreign=foreign).model_copy(
                update={"failed": tuple(failures), "failed_from": first, "failed_to": last}
            )
            usage = self._tellings.next(usage_room(report))
            if not await self._publish("report", encode(report.model_copy(update={"usage": usage}))):
                return
            await self._tellings.sent(usage)
        self._connected, self._foreign = False, None
        if self._tellings.more:
            self._report.set()

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
            starting=supervisor.starting(),
            held=copy.held,
            foreign=foreign,
            connected=connected,
            session=self._session,
            number=self._number,
            agent=self._version,
            engines=self._engines,
        )

    async def _publish(self, type_: MessageType, body: bytes) -> bool:
        """True when the broker took it; all that is lost is asked or told again."""
        if self.bus is None:
            return False
        header = Header(v=WIRE_VERSION, cluster=self._cluster, node=self._node_id, rev=self._copy.rev)
        message = Outgoing(
            exchange=MASTER_EXCHANGE,
            key=report_key(self._node_id, type_),
            type=type_,
            body=body,
            header=header,
            round=self._round,
        )
        try:
            await self.bus.publish(message)
        except BusDown as error:
            log.debug("message.not_sent", type=type_, reason=str(error))
            return False
        return True
