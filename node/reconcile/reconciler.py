"""Makes true what the local copy says: runs the plan on the engines, again and again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

import structlog

from node.engine.interface import Engine, EngineError
from node.reconcile.impediments import Impediments
from node.reconcile.plan import Running, World, adopted, leaves_alike, plan
from node.reconcile.retries import Retries
from node.state.local_copy import Holding, LocalCopy
from shared.messages.bodies import ProxyFailure
from shared.proxies import ProxyId, ProxyRecord
from shared.tasks import for_each, wait_for_event

log = structlog.get_logger()

SWEEP_S = 5.0
"""Engines are asked what they run this often, besides when they say that something changed."""

MANY = 100
"""More starts than these in one pass are logged as one line, and one by one at level debug."""


class Reconciler:
    """Owns what we know of the engines. `wake` it after the copy or an engine changed."""

    def __init__(
        self,
        copy: LocalCopy,
        engines: Mapping[str, Engine],
        *,
        on_change: Callable[[list[Holding]], Awaitable[None]],
        listen: str | None = None,
    ) -> None:
        """`on_change` is called after each pass that changed something, with the holdings whose records now run.
        `listen` is the address on which the engines listen, None for every address."""
        self._copy, self._engines, self._on_change = copy, engines, on_change
        self._running: dict[int, Running] = {}
        self._troubles = Retries(copy)
        self._hindrances = Impediments(copy, engines, listen)
        self._touched: set[int] = set()
        self._at_work: set[int] = set()
        self._unasked: set[int] = set()
        self._stale = True
        self._has_looked = False
        self._wake = asyncio.Event()

    def wake(self, ids: Collection[int] | None = None) -> None:
        """Look at these ids soon, or, without any, at everything, asking the engines what they run."""
        if ids is None:
            self._stale = True
        else:
            self._touched.update(ids)
        self._wake.set()

    def addresses_changed(self) -> None:
        """Look at everything soon, and try every exit."""
        self._hindrances.expire()
        self.wake()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            if not await wait_for_event(self._wake, self._pause()):
                self._stale = True
            self._wake.clear()
            await self.reconcile()

    def running_count(self) -> int:
        """How many proxies accept connections and can pass them on; those held to a limit are counted."""
        held = [self._hindered(holding) for holding in self._copy.holdings.values()]
        return len(self._running) - sum(1 for failure in held if failure is not None and failure.kind == "failed")

    def reached(self, id_: int) -> int | None:
        """See node.reconcile.progress."""
        running, trouble = self._running.get(id_), self._troubles.current.get(id_)
        version = max(running.version if running else 0, trouble.version if trouble else 0)
        if not self._has_looked:
            return version
        holding, wanted = self._copy.holdings.get(id_), self._copy.wanted.get(id_)
        if wanted is None:
            return None if running is None and id_ not in self._at_work else version
        if holding is None or holding.version != wanted or id_ in self._unasked or self._is_untried(holding):
            return version
        return None

    def failures(self) -> list[ProxyFailure]:
        """What does not run at its version, or runs but serves nobody, and why."""
        return [failure for holding in self._copy.holdings.values() if (failure := self._failure(holding)) is not None]

    async def reconcile(self) -> None:
        """One pass over what was touched, or over everything."""
        everything, known = self._stale, self._hindrances.known
        if everything:
            self._stale = False
            await self._refresh()
        ids = (self._copy.wanted.keys() | self._running.keys()) if everything else set(self._touched)
        self._touched -= ids
        self._at_work = set(ids)
        ids |= self._troubles.due()
        now = World(running=self._running, troubles=self._troubles.current, now=time.monotonic())
        todo = plan(self._copy, now, ids)
        self._troubles.forget()
        self._has_looked = self._has_looked or (everything and not todo.stop)
        if not todo.stop and not todo.start:
            self._at_work = set()
            if self._hindrances.known != known:
                await self._on_change([])
            return
        await self._stop_all(todo.stop)
        self._has_looked = self._has_looked or everything
        self._unasked = {record.id for record in todo.start}
        await self._hindrances.try_exits(todo.start)
        ran = await self._start_all(todo.start)
        await self._hindrances.ask_engines()
        self._at_work = set()
        self._unasked = set()
        if todo.blocked:
            self.wake(todo.blocked)
        await self._on_change(ran)

    def _pause(self) -> float:
        return min(SWEEP_S, max(0.05, self._troubles.soonest() - time.monotonic()))

    async def _refresh(self) -> None:
        """Ask every engine; one that does not answer keeps what we believed of it."""
        found: dict[int, Running] = {}
        now = time.monotonic()
        for name, engine in self._engines.items():
            try:
                answer = await engine.running()
            except EngineError as error:
                log.warning("engine.silent", engine=name, reason=str(error))
                found.update({id_: running for id_, running in self._running.items() if running.engine == name})
                continue
            for id_, version in answer.items():
                before = self._running.get(id_)
                same = before is not None and before.version == version and before.engine == name
                if before is not None and same:
                    found[id_] = before
                else:
                    found[id_] = adopted(self._copy.holdings.get(id_), version, name, now)
                    log.info("proxy.adopted", proxy_id=id_, version=version, engine=name)
        for id_, running in self._running.items():
            if id_ not in found and id_ in self._copy.wanted:
                log.warning("proxy.died", proxy_id=id_)
                self._troubles.died(id_, running, now)
        await self._hindrances.ask()
        self._troubles.hurry(self._hindrances.exit_failure)
        self._running = found

    async def _stop_all(self, ids: Iterable[int]) -> None:
        by_engine: dict[str, list[int]] = {}
        for id_ in ids:
            by_engine.setdefault(self._running[id_].engine, []).append(id_)
        async with asyncio.TaskGroup() as group:
            for name, theirs in by_engine.items():
                group.create_task(for_each(theirs, self._stop, at_once=self._engines[name].at_once))

    async def _start_all(self, records: Collection[ProxyRecord]) -> list[Holding]:
        """Those whose records now run."""
        by_engine: dict[str, list[ProxyRecord]] = {}
        for record in records:
            by_engine.setdefault(record.engine, []).append(record)
        ran: list[Holding] = []
        level = logging.INFO if len(records) <= MANY else logging.DEBUG

        async def start(record: ProxyRecord) -> None:
            ran.extend(self._troubles.proven(record) if await self._start(record, level) else ())

        async with asyncio.TaskGroup() as group:
            for name, theirs in by_engine.items():
                engine = self._engines.get(name)
                group.create_task(for_each(theirs, start, at_once=engine.at_once if engine else len(theirs)))
        if len(records) > MANY:
            log.info("proxies.started", count=len(ran), tried=len(records))
        return ran

    async def _stop(self, id_: int) -> None:
        try:
            await self._engines[self._running[id_].engine].stop(ProxyId(id_))
        except EngineError as error:
            log.error("proxy.stop_failed", proxy_id=id_, reason=str(error))
            self.wake()
            return
        self._running.pop(id_, None)
        log.info("proxy.stopped", proxy_id=id_)

    async def _start(self, record: ProxyRecord, level: int) -> bool:
        """Whether it runs now."""
        id_ = record.id
        try:
            await self._move(record)
        except EngineError as error:
            if self._troubles.failed(record, error) and id_ not in self._running:
                self.wake([id_])
            return False
        self._running[id_] = Running(
            version=record.version,
            engine=record.engine,
            content=record.content,
            port=record.port,
            since=time.monotonic(),
        )
        log.log(level, "proxy.started", proxy_id=id_, version=record.version, port=record.port, engine=record.engine)
        return True

    async def _move(self, record: ProxyRecord) -> None:
        """Start the record; when it changes engines, the old one lets go first if both need the same port.

        A record whose exit does not work replaces only what leaves by the same exit. Raises EngineError.
        """
        engine = self._engines.get(record.engine)
        if engine is None:
            raise EngineError(f"engine {record.engine} is not installed on this node")
        running = self._running.get(record.id)
        if not leaves_alike(running, self._copy.holdings.get(record.id), record):
            self._hindrances.refuse(record)
        if running is None or running.engine == record.engine:
            await engine.start(record)
            return
        old = self._engines[running.engine]
        if running.port == record.port or running.port is None:
            await old.stop(ProxyId(record.id))
            self._running.pop(record.id, None)
            await engine.start(record)
        else:
            await engine.start(record)
            await old.stop(ProxyId(record.id))

    def _is_untried(self, holding: Holding) -> bool:
        running, trouble = self._running.get(holding.id), self._troubles.current.get(holding.id)
        return (
            holding.record is not None
            and (running is None or not running.runs(holding))
            and (trouble is None or trouble.version != holding.version)
        )

    def _failure(self, holding: Holding) -> ProxyFailure | None:
        if holding.record is None:
            return ProxyFailure(id=holding.id, version=holding.version, reason=holding.refusal)
        running, trouble = self._running.get(holding.id), self._troubles.current.get(holding.id)
        if running is not None and running.runs(holding):
            return self._hindered(holding)
        if trouble is None or trouble.version != holding.version:
            return None
        return ProxyFailure(
            id=holding.id, version=holding.version, reason=trouble.reason[:300], port_taken=trouble.port_taken
        )

    def _hindered(self, holding: Holding) -> ProxyFailure | None:
        """Why the record that is held serves nobody though it runs."""
        running = self._running.get(holding.id)
        if running is None or not running.runs(holding) or holding.id in self._unasked:
            return None
        return self._hindrances.failure(holding)
