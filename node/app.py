"""The composition root: puts the node together and runs it as one group of tasks."""

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
from node.network.address_changes import hear_addresses
from node.reconcile.reconciler import Reconciler
from node.settings import Settings
from node.state.agent_lock import sole_agent
from node.state.identity import Identity
from node.state.local_copy import Holding
from node.state.store import Store
from shared.tasks import Backoff, Endurance, keep_on, run_until

log = structlog.get_logger()

MEND_LOOK_S = 1.0
MEND_MOST_S = 15.0
"""Between two tries to write to a disk that refuses."""


class Node:
    """A running node."""

    def __init__(
        self, settings: Settings, engines: Engines, changed: asyncio.Event, store: Store, upgrade: asyncio.Event
    ) -> None:
        """`changed` is set by an engine in which something happened by itself, `upgrade` by the operator."""
        self._engines, self._changed, self._upgrade, self._store = engines, changed, upgrade, store
        self._copy = store.load()
        self._supervisor = Reconciler(self._copy, engines.by_name, on_change=self._reconciled, listen=settings.listen)
        self._membership = Membership(settings, engines.versions)
        self._agent: Agent | None = None

    async def run(self) -> None:
        """Serve what the local copy says at once; the broker comes when it comes."""
        await self._engines.reached_at(self._copy.ip)
        log.info("node.started", proxies=len(self._copy.wanted), rev=self._copy.rev, engines=self._engines.versions)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run())
            group.create_task(self._hear_engines())
            group.create_task(hear_addresses(self._supervisor.addresses_changed))
            group.create_task(self._upgrade_on_demand())
            group.create_task(self._membership.run(self._work_as))
            group.create_task(self._keep_store())

    async def _keep_store(self) -> None:
        """Try again what the disk refused, until it is written."""
        endurance = Endurance(away=(StoreFailed,), backoff=Backoff(first_s=1.0, most_s=MEND_MOST_S))
        await keep_on(self._mend_store, loop="store", endurance=endurance)

    async def _mend_store(self) -> None:
        """One look. Raises StoreFailed."""
        await asyncio.sleep(MEND_LOOK_S)
        if self._store.is_read and not self._store.trouble:
            return
        async with self._store.changing:
            is_read_anew = not self._store.is_read and await self._read_store()
            await asyncio.to_thread(self._store.mend)
        log.info("store.writable")
        if self._agent is not None:
            self._agent.store_changed(is_read_anew=is_read_anew)

    async def _read_store(self) -> bool:
        """Whether a file that could not be read at the start can be read now; the proxies in it are started then."""
        copy = await asyncio.to_thread(self._store.load)
        if self._store.is_read:
            self._copy.become(copy)
            await self._engines.reached_at(copy.ip)
            log.info("store.read", proxies=len(copy.wanted), rev=copy.rev)
            self._supervisor.wake()
        return self._store.is_read

    async def _hear_engines(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._supervisor.wake()

    async def _upgrade_on_demand(self) -> None:
        while True:
            await self._upgrade.wait()
            self._upgrade.clear()
            try:
                await self._engines.builtin.upgrade()
            except EngineError as error:
                log.error("engine.upgrade_failed", reason=str(error))

    async def _reconciled(self, ran: list[Holding]) -> None:
        if self._agent is not None:
            await self._agent.reconciled(ran)

    async def _work_as(self, identity: Identity) -> None:
        if await asyncio.to_thread(self._store.belong_to, identity.owner):
            log.warning("copy.forgotten", reason="this node has another identity now")
            self._copy.forget()
        prove = partial(self._membership.prove, identity)
        work = Session(identity, self._copy, self._store, self._supervisor, self._engines, on_login=prove)
        self._agent = work.agent
        await work.run()


async def run_node(settings: Settings, stop: asyncio.Event, *, upgrade: asyncio.Event) -> None:
    """Run until `stop`; the proxies go on when the agent ends. At each `upgrade` the built-in engine's workers are
    relieved by new ones. Raises NodeError.
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
    """To the hard limit: the listeners of a worker that died are open here until its successor has them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def upgrade_by_itself(settings: Settings) -> list[Moved]:
    """Relieve the workers that an agent has left. Raises NodeError, EngineError."""
    with sole_agent(settings):
        async with opened_engines(settings, asyncio.Event()) as engines:
            return await engines.builtin.upgrade()
