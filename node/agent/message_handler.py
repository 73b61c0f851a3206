"""Handler of the master's messages: applies them to the local copy and wakes the parts that act on the change."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from node.agent.broker_links import NodeLinks
from node.agent.publisher import Publisher
from node.agent.record_requests import RecordRequests
from node.agent.reports import NodeReports
from node.agent.upgrade_requests import UpgradeReceiver
from node.errors import StoreFailed
from node.reconcile.progress import Progress
from node.reconcile.reconciler import Reconciler
from node.state.local_copy import CopyChange, LocalCopy, StoredProxy, on_list, on_records
from node.state.store import Store
from shared.bus.envelopes import Incoming
from shared.messages.assembly import Assemblies, assemble
from shared.messages.bodies import CheckSync, Header, NeedSync, Report, Sync, UpgradeRequest
from shared.messages.broker_config import ConfigBody, ConfigOkBody
from shared.messages.reading import Unreadable, decode, decode_header, revision_in

log = structlog.get_logger()


class Agent:
    """The node's side of the protocol. Without a connection to the broker it goes on with the local copy."""

    def __init__(
        self,
        copy: LocalCopy,
        store: Store,
        reconciler: Reconciler,
        *,
        publisher: Publisher,
        reports: NodeReports,
        progress: Progress,
        upgrades: UpgradeReceiver,
        links: NodeLinks,
        on_address: Callable[[], None] = lambda: None,
    ) -> None:
        """`copy` mirrors the store. `on_address` is called when the master reports another ip of this node."""
        self._on_address = on_address
        self._copy, self._store, self._reconciler = copy, store, reconciler
        self._publisher, self._reports, self._progress = publisher, reports, progress
        self._record_requests = RecordRequests(copy, publisher)
        self._upgrades = upgrades
        self._links = links
        upgrades.on_change = reports.wake
        self._assemblies: Assemblies = {}

    async def handle(self, message: Incoming, in_use: bool) -> None:
        """Handle one message of the master. Returning acknowledges it, so the change is on disk by then.

        `in_use`: it came over the connection that the node uses, not over one that is about to become it or was it.
        """
        try:
            header = decode_header(message.headers)
            if not self._is_ours(header, message.type):
                return
            body = decode(message.type, message.body)
        except Unreadable as error:
            log.warning("message.unreadable", type=message.type, message_id=message.message_id, reason=str(error))
            if message.type == "config" and (rev := revision_in(message.body)) is not None:
                await self._links.refuse(rev, f"the message cannot be read: {error}")
            return
        match body:
            case CheckSync():
                await self._on_part(message.round or "", header, body)
            case Sync(items=items):
                await self._take(lambda: on_records(self._copy, header, items))
            case UpgradeRequest():
                self._upgrades.take(body)
            case ConfigBody():
                await self._links.take(body)
            case ConfigOkBody(rev=rev):
                if in_use:
                    await self._links.confirm(rev)
            case NeedSync() | Report():
                log.warning("message.unexpected", type=message.type)

    def _is_ours(self, header: Header, type_: str | None) -> bool:
        """Whether the message is for this node of this cluster. Any other is reported."""
        if header.cluster == self._publisher.cluster and header.node == self._publisher.node_id:
            return True
        log.error("message.foreign", type=type_, cluster=header.cluster, node_id=header.node)
        self._reports.report_foreign(header.cluster)
        return False

    async def came_up(self) -> None:
        """Report the new connection to the broker and request the missing records again."""
        self._record_requests.forget_pending()
        self._record_requests.wake()
        self._reports.report_connected()

    def store_changed(self, *, was_reloaded: bool) -> None:
        """Report that the store can be written again; with `was_reloaded` the copy was read from disk just now."""
        if was_reloaded:
            self._progress.begin(self._copy.wanted)
            self._record_requests.reset()
            self._record_requests.wake()
        self._reports.wake()

    async def reconciled(self, ran: list[StoredProxy]) -> None:
        """Report a change of the reconciler. The records of `ran` run now, so each becomes the one to fall back on."""
        self._reports.wake()
        proven = [replace(stored, good=stored.record) for stored in ran if stored.good is not stored.record]
        if not proven:
            return
        async with self._store.changing:
            current = [stored for stored in proven if self._is_current(stored)]
            self._copy.proxies.update({stored.id: stored for stored in current})
            try:
                await asyncio.to_thread(self._store.mark_good, current)
            except StoreFailed as error:
                log.error("store.write_failed", reason=str(error))

    async def run(self) -> None:
        """Send record requests and reports, and follow an upgrade, until cancelled."""
        await self._reports.begin_session()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._record_requests.run())
            group.create_task(self._reports.run())
            group.create_task(self._upgrades.run())

    def _is_current(self, stored: StoredProxy) -> bool:
        current = self._copy.proxies.get(stored.id)
        return current is not None and current.record is stored.record

    async def _on_part(self, round_: str, header: Header, body: CheckSync) -> None:
        self._assemblies, pairs = assemble(self._assemblies, round_, header, body)
        if pairs is None:
            return
        self._publisher.round = round_
        held, ip = self._copy.held, self._copy.ip
        self._record_requests.reset()
        change = await self._take(lambda: on_list(self._copy, header, pairs))
        if self._copy.ip != ip:
            self._on_address()
        if change.held is not None and change.held != held:
            log.error("list.held", rev=header.rev, stops=change.held.stops, of=change.held.of)
        if header.requests and change.verdict == "taken":
            counts = {"stopped": len(change.drop), "wanted": len(self._copy.missing())}
            log.info("list.taken", rev=header.rev, request_ids=header.requests, **counts)
        self._reports.wake()

    async def _take(self, decide: Callable[[], CopyChange]) -> CopyChange:
        """Decide, write to disk, then change the copy in memory. When the disk refuses, the copy stays as it was."""
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
        self._wake_users_of(change)
        return change

    def _wake_users_of(self, change: CopyChange) -> None:
        self._record_requests.wake()
        if change.touched:
            self._reconciler.wake(change.touched)
        if change.put:
            self._reports.wake()
