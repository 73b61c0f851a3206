"""Composition root of the agent: builds its parts and runs them as one task group."""

import asyncio
import resource
from functools import partial

import structlog

from node.agent.message_handler import Agent
from node.agent.session import Session
from node.engine.builtin.pool.upgrade import Moved
from node.engine.installed import Engines, opened_engines
from node.engine.interface import EngineError
from node.enrolment.membership import Membership
from node.errors import StoreFailed
from node.network.address_changes import watch_addresses
from node.reconcile.reconciler import Reconciler
from node.settings import Settings
from node.state.agent_lock import sole_agent
from node.state.identity import Identity
from node.state.local_copy import StoredProxy
from node.state.store import Store
from shared.tasks import Backoff, Endurance, keep_on, run_until

log = structlog.get_logger()

STORE_CHECK_S = 1.0
STORE_RETRY_MAX_S = 15.0
"""Longest time between two tries to write to a disk that refuses."""


class Node:
    """A running node."""

    def __init__(
        self, settings: Settings, engines: Engines, changed: asyncio.Event, store: Store, upgrade: asyncio.Event
    ) -> None:
        """`changed` is set by an engine whose proxies changed unasked, `upgrade` by the operator."""
        self._engines, self._changed, self._upgrade, self._store = engines, changed, upgrade, store
        self._copy = store.load()
        self._reconciler = Reconciler(self._copy, engines.by_name, on_change=self._reconciled, listen=settings.listen)
        self._membership = Membership(settings, engines.versions)
        self._agent: Agent | None = None

    async def run(self) -> None:
        """Start the proxies of the local copy at once, without waiting for the broker, and run until cancelled."""
        await self._engines.reached_at(self._copy.ip)
        log.info("node.started", proxies=len(self._copy.wanted), rev=self._copy.rev, engines=self._engines.versions)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run())
            group.create_task(self._watch_engines())
            group.create_task(watch_addresses(self._reconciler.addresses_changed))
            group.create_task(self._upgrade_on_demand())
            group.create_task(self._membership.run(self._run_session))
            group.create_task(self._keep_store())

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
        if self._agent is not None:
            self._agent.store_changed(was_reloaded=was_reloaded)

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
        if self._agent is not None:
            await self._agent.reconciled(ran)

    async def _run_session(self, identity: Identity) -> None:
        if await asyncio.to_thread(self._store.belong_to, identity.owner):
            log.warning("copy.forgotten", reason="this node has another identity now")
            self._copy.forget()
        prove = partial(self._membership.prove, identity)
        session = Session(identity, self._copy, self._store, self._reconciler, self._engines, on_login=prove)
        self._agent = session.agent
        await session.run()


async def run_node(settings: Settings, stop: asyncio.Event, *, upgrade: asyncio.Event) -> None:
    """Run the agent until `stop` is set; the proxies keep running afterwards. Raises NodeError.

    Each time `upgrade` is set, new processes with the installed code replace the built-in engine's workers.
    """
    raise_descriptor_limit()
    changed = asyncio.Event()
    with sole_agent(settings):
        async with opened_engines(settings, changed) as engines:
            store = await asyncio.to_thread(Store, settings.copy_file)
            try:
                await run_until(stop, Node(settings, engines, changed, store, upgrade).run)
            finally:
                store.close()
    log.info("node.stopped", proxies="they go on; `maybe-node stop` ends them")


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one: the agent keeps the listeners of a dead worker open for its successor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def upgrade_without_agent(settings: Settings) -> list[Moved]:
    """Replace the built-in engine's workers while no agent runs. Raises NodeError, EngineError."""
    with sole_agent(settings):
        async with opened_engines(settings, asyncio.Event()) as engines:
            return await engines.builtin.upgrade()
