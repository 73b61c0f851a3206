"""Between the bus and the local copy: takes the master's messages, and says who has something to do with them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from node.agent.publisher import Publisher
from node.agent.record_requests import RecordRequests
from node.agent.reports import NodeReports
from node.errors import StoreFailed
from node.reconcile.progress import Progress
from node.reconcile.reconciler import Reconciler
from node.state.local_copy import CopyChange, Holding, LocalCopy, on_list, on_records
from node.state.store import Store
from shared.bus.envelopes import Incoming
from shared.messages.assembly import Assemblies, assemble
from shared.messages.bodies import CheckSync, Header, NeedSync, Report, Sync
from shared.messages.reading import Unreadable, decode, decode_header

log = structlog.get_logger()


class Agent:
    """One node's side of the protocol. Without a link it works on alone."""

    def __init__(
        self,
        copy: LocalCopy,
        store: Store,
        supervisor: Reconciler,
        *,
        uplink: Publisher,
        reports: NodeReports,
        progress: Progress,
        on_address: Callable[[], None] = lambda: None,
    ) -> None:
        """The copy is what the store has; the others go by it. `on_address`: the master says another ip of the node."""
        self._on_address = on_address
        self._copy, self._store, self._supervisor = copy, store, supervisor
        self._uplink, self._reports, self._progress = uplink, reports, progress
        self._asking = RecordRequests(copy, uplink)
        self._assemblies: Assemblies = {}

    async def handle(self, message: Incoming) -> None:
        """Take one message of the master. It is acknowledged when this returns: by then the copy is on disk."""
        try:
            header = decode_header(message.headers)
            body = decode(message.type, message.body)
        except Unreadable as error:
            log.warning("message.unreadable", type=message.type, message_id=message.message_id, reason=str(error))
            return
        if header.cluster != self._uplink.cluster or header.node != self._uplink.node_id:
            log.error("message.foreign", type=message.type, cluster=header.cluster, node_id=header.node)
            self._reports.tell_foreign(header.cluster)
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
        self._asking.forget()
        self._asking.wake()
        self._reports.tell_connected()

    def store_changed(self, *, is_read_anew: bool) -> None:
        """The store can be written again, or cannot any more; with `is_read_anew` the copy is another than before."""
        if is_read_anew:
            self._progress.begin(self._copy.wanted)
            self._asking.begin_anew()
            self._asking.wake()
        self._reports.wake()

    async def reconciled(self, ran: list[Holding]) -> None:
        """The supervisor changed something; the records of `ran` run now, so each is good to fall back on."""
        self._reports.wake()
        news = [replace(holding, good=holding.record) for holding in ran if holding.good is not holding.record]
        if not news:
            return
        async with self._store.changing:
            current = [holding for holding in news if self._holds(holding)]
            self._copy.holdings.update({holding.id: holding for holding in current})
            try:
                await asyncio.to_thread(self._store.mark_good, current)
            except StoreFailed as error:
                log.error("store.write_failed", reason=str(error))

    async def run(self) -> None:
        """Ask and report until cancelled."""
        await self._reports.begin_session()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._asking.run())
            group.create_task(self._reports.run())

    def _holds(self, holding: Holding) -> bool:
        held = self._copy.holdings.get(holding.id)
        return held is not None and held.record is holding.record

    async def _on_part(self, round_: str, header: Header, body: CheckSync) -> None:
        self._assemblies, pairs = assemble(self._assemblies, round_, header, body)
        if pairs is None:
            return
        self._uplink.round = round_
        held, ip = self._copy.held, self._copy.ip
        self._asking.begin_anew()
        change = await self._take(lambda: on_list(self._copy, header, pairs))
        if self._copy.ip != ip:
            self._on_address()
        if change.held is not None and change.held != held:
            log.error("list.held", rev=header.rev, stops=change.held.stops, of=change.held.of)
        if header.requests and change.verdict == "taken":
            news = {"stopped": len(change.drop), "wanted": len(self._copy.missing())}
            log.info("list.taken", rev=header.rev, request_ids=header.requests, **news)
        self._reports.wake()

    async def _take(self, decide: Callable[[], CopyChange]) -> CopyChange:
        """Decide on the copy as it is; disk first, then memory. A disk that refuses leaves everything as it was."""
        async with self._store.changing:
            change = decide()
            if change.verdict != "stale" or (change.seen, change.top) != (self._copy.seen, self._copy.top):
                try:
                    await asyncio.to_thread(self._store.write, change)
                except StoreFailed as error:
                    log.error("store.write_failed", reason=str(error))
                    self._reports.wake()
                    return change
                self._progress.took(change, self._copy.rev)
                self._copy.take(change)
        self._tell(change)
        return change

    def _tell(self, change: CopyChange) -> None:
        """Whoever has something to do with what has come."""
        self._asking.wake()
        if change.touched:
            self._supervisor.wake(change.touched)
        if change.put:
            self._reports.wake()
