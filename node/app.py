"""Composition root of the agent: builds its parts and runs them as one task group."""

import asyncio
import os
import resource
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from node.certificates.keeper import CertificateKeeper
from node.engine.builtin.pool.upgrade import Moved
from node.engine.installed import Engines, opened_engines
from node.engine.interface import EngineError
from node.enrolment.membership import Membership
from node.errors import StoreFailed
from node.network.address_changes import watch_addresses
from node.reconcile.reconciler import Reconciler
from node.service.notices import Notices
from node.service.status import StatusKeeper
from node.settings import Settings
from node.state.identity import Identity
from node.state.local_copy import LocalCopy, StoredProxy
from node.state.sole_agent import sole_agent
from node.state.status_file import AgentCounts, AgentStatus, NodeLinkState
from node.state.store import Store
from shared.tasks import Backoff, Endurance, keep_on, run_until, wait_for_event
from shared.version import program_version

if TYPE_CHECKING:
    from node.agent.session import Session

log = structlog.get_logger()

STORE_CHECK_S = 1.0
STORE_RETRY_MAX_S = 15.0
"""Longest time between two tries to write to a disk that refuses."""
FIRST_PASS_S = 2.0
"""Longest time for which the connection to the broker waits for the proxies of the local copy to start."""


class Node:
    """A running node."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        changed: asyncio.Event,
        store: Store,
        copy: LocalCopy,
        upgrade: asyncio.Event,
        notices: Notices,
    ) -> None:
        """`changed` is set by an engine whose proxies changed unasked, `upgrade` by the operator. `copy` is what the
        store has loaded."""
        self._files = settings.files
        self._engines, self._changed, self._upgrade, self._store = engines, changed, upgrade, store
        self._copy = copy
        self._reconciler = Reconciler(self._copy, engines.by_name, on_change=self._reconciled, listen=settings.listen)
        self._membership = Membership(settings, engines.versions)
        self._certificates = CertificateKeeper(settings, copy, engines.builtin.use_certificate)
        engines.builtin.certify = self._certificates.ensure
        self._session: Session | None = None
        self._version, self._started_at = program_version(), round(time.time(), 3)
        self._listen = settings.listen or ""
        self._counts: AgentCounts | None = None
        self._keeper = StatusKeeper(settings.files.status_file, notices, self._status)

    async def run(self) -> None:
        """Start the proxies of the local copy at once, without waiting for the broker, and run until cancelled."""
        await self._engines.reached_at(self._copy.ip)
        await self._certificates.look()
        log.info("node.started", proxies=len(self._copy.wanted), rev=self._copy.rev, engines=self._engines.versions)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._reconciler.run())
                group.create_task(self._keeper.run())
                group.create_task(self._watch_engines())
                group.create_task(self._certificates.run())
                group.create_task(watch_addresses(self._reconciler.addresses_changed))
                group.create_task(self._upgrade_on_demand())
                group.create_task(self._membership.run(self._run_session))
                group.create_task(self._announce_ready())
                group.create_task(self._keep_store())
        finally:
            self._keeper.close()

    async def _announce_ready(self) -> None:
        """A node is ready when its proxies were started. One that has none has to wait for its challenge as well."""
        await self._reconciler.has_passed.wait()
        if not self._copy.wanted:
            await self._membership.known.wait()
        self._keeper.ready()

    def _status(self) -> AgentStatus:
        if self._counts is None or self._counts.wanted != len(self._copy.wanted):
            self._counts = self._count()
        link: NodeLinkState = self._session.link if self._session is not None else "waiting"
        return AgentStatus(
            version=self._version,
            pid=os.getpid(),
            started_at=self._started_at,
            link=link,
            broker=self._session.broker if self._session is not None else None,
            listen=self._listen,
            proxies=self._counts,
            challenge=self._membership.challenge,
        )

    def _count(self) -> AgentCounts:
        """Count all proxies. That takes milliseconds with thousands of them, so it is done after a change only."""
        running, failed = self._reconciler.running_count(), len(self._reconciler.failures())
        return AgentCounts(wanted=len(self._copy.wanted), running=running, failed=failed)

    async def _keep_store(self) -> None:
        """Repeat writes that the disk refused until they succeed."""
        endurance = Endurance(away=(StoreFailed,), backoff=Backoff(first_s=1.0, most_s=STORE_RETRY_MAX_S))
        await keep_on(self._recover_store, loop="store", endurance=endurance)

    async def _recover_store(self) -> None:
        """Repeat the outstanding writes, if there are any. Raises StoreFailed."""
        await asyncio.sleep(STORE_CHECK_S)
        if self._store.is_read and not self._store.write_error:
            return
        async with self._store.changing:
            was_reloaded = not self._store.is_read and await self._read_store()
            await asyncio.to_thread(self._store.write_outstanding)
        log.info("store.writable")
        if self._session is not None:
            self._session.agent.store_changed(was_reloaded=was_reloaded)

    async def _read_store(self) -> bool:
        """Read a file that could not be read at the start, and start its proxies; False while it is unreadable."""
        copy = await asyncio.to_thread(self._store.load)
        if self._store.is_read:
            self._copy.become(copy)
            await self._engines.reached_at(copy.ip)
            log.info("store.read", proxies=len(copy.wanted), rev=copy.rev)
            self._reconciler.wake()
        return self._store.is_read

    async def _watch_engines(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._reconciler.wake()

    async def _upgrade_on_demand(self) -> None:
        while True:
            await self._upgrade.wait()
            self._upgrade.clear()
            try:
                await self._engines.builtin.upgrade()
            except EngineError as error:
                log.error("engine.upgrade_failed", reason=str(error))

    async def _reconciled(self, ran: list[StoredProxy]) -> None:
        self._counts = None
        self._keeper.wake()
        if self._session is not None:
            await self._session.agent.reconciled(ran)

    async def _run_session(self, identity: Identity) -> None:
        """Work for the master. The driver of the broker is imported once the proxies have started: it takes longer than
        their start."""
        if await asyncio.to_thread(self._store.belong_to, identity.owner):
            log.warning("copy.forgotten", reason="this node has another identity now")
            self._copy.forget()
        await wait_for_event(self._reconciler.has_passed, FIRST_PASS_S)
        module = await asyncio.to_thread(import_module, "node.agent.session")
        config = identity.config
        self._session = session = module.Session(
            identity,
            self._copy,
            self._store,
            self._reconciler,
            self._engines,
            on_login=partial(self._membership.prove, config),
            keep_moves=partial(self._membership.keep_moves, config),
            files=self._files,
            certificates=self._certificates,
        )
        await session.run()


async def run_node(settings: Settings, stop: asyncio.Event, *, upgrade: asyncio.Event, notices: Notices) -> None:
    """Run the agent until `stop` is set; the proxies keep running afterwards. Raises NodeError.

    Each time `upgrade` is set, new processes with the installed code replace the built-in engine's workers.
    """
    raise_descriptor_limit()
    changed = asyncio.Event()
    with sole_agent(settings):
        async with asyncio.TaskGroup() as group:
            opening = group.create_task(asyncio.to_thread(opened_copy, settings.copy_file))
            async with opened_engines(settings, changed) as engines:
                store, copy = await opening
                try:
                    await run_until(stop, Node(settings, engines, changed, store, copy, upgrade, notices).run)
                finally:
                    store.close()
    log.info("node.stopped", proxies="they go on; `maybe-node stop` ends them")


def opened_copy(path: Path) -> tuple[Store, LocalCopy]:
    """Open the store and read the copy. Blocks."""
    store = Store(path)
    return store, store.load()


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one: the agent keeps the listeners of a dead worker open for its successor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except OSError as error:
        log.warning("descriptors.limit_not_raised", limit=soft, reason=error.strerror)


async def upgrade_without_agent(settings: Settings) -> list[Moved]:
    """Replace the built-in engine's workers while no agent runs. Raises NodeError, EngineError."""
    with sole_agent(settings):
        async with opened_engines(settings, asyncio.Event()) as engines:
            return await engines.builtin.upgrade()
