"""Reconciler: plans and applies the differences between the local copy and the engines, again and again.

Longer than most modules because one object owns the state that all steps change; the decisions are in `plan`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

import structlog

from node.engine.interface import Engine, EngineError
from node.reconcile.impediments import Impediments
from node.reconcile.plan import ObservedState, Running, adopted, plan, same_exit
from node.reconcile.retries import Retries
from node.state.local_copy import LocalCopy, StoredProxy
from shared.messages.bodies import ProxyFailure
from shared.proxies import ProxyId, ProxyRecord
from shared.tasks import for_each, wait_for_event

log = structlog.get_logger()

SWEEP_S = 5.0
"""Time between two full passes, which ask every engine for its running proxies; an engine's notice starts one too."""

MANY = 100
"""More starts in one pass than this are logged in one line, and one by one only at level debug."""


class Reconciler:
    """Knows which proxies run and which failed. `wake` it after the copy or an engine has changed."""

    def __init__(
        self,
        copy: LocalCopy,
        engines: Mapping[str, Engine],
        *,
        on_change: Callable[[list[StoredProxy]], Awaitable[None]],
        listen: str | None = None,
    ) -> None:
        """`on_change` is called after each pass that changed something or found that something had changed, with the
        proxies whose records now run. `listen` is the address on which the engines listen, or None for every address.
        """
        self._copy, self._engines, self._on_change = copy, engines, on_change
        self._running: dict[int, Running] = {}
        self._retries = Retries(copy)
        self._impediments = Impediments(copy, engines, listen)
        self._touched: set[int] = set()
        self._in_progress: set[int] = set()
        self._unchecked: set[int] = set()
        self._stale = True
        self._has_refreshed = False
        self._wake = asyncio.Event()
        self._wake.set()
        self.has_passed = asyncio.Event()
        """Set after the first pass: every record of the copy has been tried."""

    def wake(self, ids: Collection[int] | None = None) -> None:
        """Reconcile these ids soon, or all after asking the engines what they run."""
        if ids is None:
            self._stale = True
        else:
            self._touched.update(ids)
        self._wake.set()

    def addresses_changed(self) -> None:
        """Reconcile everything soon, and try every exit."""
        self._impediments.expire()
        self.wake()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            if not await wait_for_event(self._wake, self._pause()):
                self._stale = True
            self._wake.clear()
            await self.reconcile()
            self.has_passed.set()

    def running_count(self) -> int:
        """Count the proxies that accept connections and whose exits work; proxies at a limit count as running."""
        impediments = [self._impediment_of(stored) for stored in self._copy.proxies.values()]
        return len(self._running) - sum(1 for each in impediments if each is not None and each.kind == "failed")

    def reached(self, id_: int) -> int | None:
        """Return the version reached for an id, as `node.reconcile.progress.Reached` defines it."""
        running, failed = self._running.get(id_), self._retries.current.get(id_)
        version = max(running.version if running else 0, failed.version if failed else 0)
        if not self._has_refreshed:
            return version
        stored, wanted = self._copy.proxies.get(id_), self._copy.wanted.get(id_)
        if wanted is None:
            return None if running is None and id_ not in self._in_progress else version
        if stored is None or stored.version != wanted or id_ in self._unchecked or self._is_untried(stored):
            return version
        return None

    def failures(self) -> list[ProxyFailure]:
        """List the proxies that do not run at their version, or serve nobody, with the reasons."""
        return [failure for stored in self._copy.proxies.values() if (failure := self._failure(stored)) is not None]

    async def reconcile(self) -> None:
        """Make one pass over the ids that were touched, or over everything."""
        everything, known, running = self._stale, self._impediments.known, self._running
        if everything:
            self._stale = False
            await self._refresh()
        ids = (self._copy.wanted.keys() | self._running.keys()) if everything else set(self._touched)
        self._touched -= ids
        self._in_progress = set(ids)
        ids |= self._retries.due()
        observed = ObservedState(running=self._running, failed_starts=self._retries.current, now=time.monotonic())
        todo = plan(self._copy, observed, ids)
        self._retries.forget()
        self._has_refreshed = self._has_refreshed or (everything and not todo.stop)
        if not todo.stop and not todo.start:
            self._in_progress = set()
            if (self._impediments.known, self._running) != (known, running):
                await self._on_change([])
            return
        await self._stop_all(todo.stop)
        self._has_refreshed = self._has_refreshed or everything
        self._unchecked = {record.id for record in todo.start}
        await self._impediments.try_exits(todo.start)
        ran = await self._start_all(todo.start)
        await self._impediments.refresh_conditions()
        self._in_progress = set()
        self._unchecked = set()
        if todo.blocked:
            self.wake(todo.blocked)
        await self._on_change(ran)

    def _pause(self) -> float:
        return min(SWEEP_S, max(0.05, self._retries.soonest() - time.monotonic()))

    async def _refresh(self) -> None:
        """Ask every engine what it runs; an engine that does not answer keeps its last answer."""
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
                    found[id_] = adopted(self._copy.proxies.get(id_), version, name, now)
                    log.info("proxy.adopted", proxy_id=id_, version=version, engine=name)
        for id_, running in self._running.items():
            if id_ not in found and id_ in self._copy.wanted:
                log.warning("proxy.died", proxy_id=id_)
                self._retries.died(id_, running, now)
        await self._impediments.refresh()
        self._retries.hurry(self._impediments.exit_failure)
        self._running = found

    async def _stop_all(self, ids: Iterable[int]) -> None:
        by_engine: dict[str, list[int]] = {}
        for id_ in ids:
            by_engine.setdefault(self._running[id_].engine, []).append(id_)
        async with asyncio.TaskGroup() as group:
            for name, theirs in by_engine.items():
                group.create_task(for_each(theirs, self._stop, at_once=self._engines[name].at_once))

    async def _start_all(self, records: Collection[ProxyRecord]) -> list[StoredProxy]:
        """Start these records; return the proxies whose records now run."""
        by_engine: dict[str, list[ProxyRecord]] = {}
        for record in records:
            by_engine.setdefault(record.engine, []).append(record)
        ran: list[StoredProxy] = []
        level = logging.INFO if len(records) <= MANY else logging.DEBUG

        async def start(record: ProxyRecord) -> None:
            ran.extend(self._retries.proven(record) if await self._start(record, level) else ())

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
        """Start the record; whether it runs now."""
        id_ = record.id
        try:
            await self._move(record)
        except EngineError as error:
            if self._retries.failed(record, error) and id_ not in self._running:
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
        """Start the record on its engine. After a change of engines, stop the old proxy, first if both use one port.

        A record whose exit does not work replaces only a record with the same exit. Raises EngineError.
        """
        engine = self._engines.get(record.engine)
        if engine is None:
            raise EngineError(f"engine {record.engine} is not installed on this node")
        running = self._running.get(record.id)
        if not same_exit(running, self._copy.proxies.get(record.id), record):
            self._impediments.check_exit(record)
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

    def _is_untried(self, stored: StoredProxy) -> bool:
        running, failed = self._running.get(stored.id), self._retries.current.get(stored.id)
        return (
            stored.record is not None
            and (running is None or not running.runs(stored))
            and (failed is None or failed.version != stored.version)
        )

    def _failure(self, stored: StoredProxy) -> ProxyFailure | None:
        if stored.record is None:
            return ProxyFailure(id=stored.id, version=stored.version, reason=stored.refusal)
        running, failed = self._running.get(stored.id), self._retries.current.get(stored.id)
        if running is not None and running.runs(stored):
            return self._impediment_of(stored)
        if failed is None or failed.version != stored.version:
            return None
        return ProxyFailure(
            id=stored.id, version=stored.version, reason=failed.reason[:300], port_taken=failed.port_taken
        )

    def _impediment_of(self, stored: StoredProxy) -> ProxyFailure | None:
        """Return why the stored record serves nobody though it runs."""
        running = self._running.get(stored.id)
        if running is None or not running.runs(stored) or stored.id in self._unchecked:
            return None
        return self._impediments.failure(stored)
