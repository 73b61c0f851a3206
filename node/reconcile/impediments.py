"""Impediments: reasons why a running proxy serves nobody (its limits, a broken exit, a lost listen address)."""

import asyncio
import time
from collections.abc import Collection, Mapping

import structlog

from node.engine.interface import Condition, Engine, EngineError, ExitFailed, Limiting
from node.network.exit_requirements import (
    ExitProblem,
    ExitRequirement,
    listen_address_lost,
    requirement_of,
    requirements_of,
)
from node.network.exit_trial import failed_exits, is_own
from node.state.local_copy import LocalCopy, StoredProxy
from shared.messages.bodies import ProxyFailure
from shared.proxies import ProxyRecord

log = structlog.get_logger()

TRY_EVERY_S = 15.0
"""Time between two trials of all exits, unless the host's addresses change."""

Known = tuple[Mapping[int, Condition], Mapping[ExitRequirement, ExitProblem], bool]


class Impediments:
    """The impediments of all proxies. The values of `known` are replaced, never changed in place."""

    def __init__(self, copy: LocalCopy, engines: Mapping[str, Engine], listen: str | None) -> None:
        """`listen` is the address on which all proxies listen, or None for every address."""
        self._copy, self._engines, self._listen = copy, engines, listen
        self._conditions: Mapping[int, Condition] = {}
        self._failed: Mapping[ExitRequirement, ExitProblem] = {}
        self._listen_lost = False
        self._try_at = 0.0

    @property
    def known(self) -> Known:
        """All impediments, to compare two moments."""
        return self._conditions, self._failed, self._listen_lost

    def of(self, record: ProxyRecord) -> Condition | None:
        """Return why this record would serve nobody; None when it serves. An expiry goes before a broken exit."""
        condition = self._conditions.get(record.id)
        if condition is not None and condition.kind == "expired":
            return condition
        if self._listen_lost and self._listen is not None:
            return Condition("failed", listen_address_lost(self._listen).text)
        reason = self.exit_failure(record)
        return Condition("failed", reason) if reason is not None else condition

    def failure(self, stored: StoredProxy) -> ProxyFailure | None:
        """Return the impediment in the form of a report."""
        condition = self.of(stored.record) if stored.record is not None else None
        if condition is None:
            return None
        reason = condition.reason[:300]
        return ProxyFailure(id=stored.id, version=stored.version, reason=reason, kind=condition.kind)

    def check_exit(self, record: ProxyRecord) -> None:
        """Raise ExitFailed if the record's exit does not work."""
        if (reason := self.exit_failure(record)) is not None:
            raise ExitFailed(reason)

    def exit_failure(self, record: ProxyRecord) -> str | None:
        """Return why the record's exit failed its last trial; None when it works."""
        requirement = requirement_of(record)
        problem = self._failed.get(requirement) if requirement is not None else None
        return problem.text if problem is not None else None

    def expire(self) -> None:
        """Have the next `refresh` try all exits: the host's addresses have changed."""
        self._try_at = 0.0

    async def refresh(self) -> None:
        """Ask the engines for limited proxies and, when it is time, try the exits of all records."""
        await self.refresh_conditions()
        if time.monotonic() < self._try_at:
            return
        self._try_at = time.monotonic() + TRY_EVERY_S
        required = requirements_of(stored.record for stored in self._copy.proxies.values())
        self._failed = {each: problem for each, problem in self._failed.items() if each in required}
        await self._try(required)
        if self._listen is not None:
            self._note_listen(lost=not is_own(self._listen))

    async def refresh_conditions(self) -> None:
        """Ask the engines for limited proxies; an engine that does not answer keeps its last answer."""
        found: dict[int, Condition] = {}
        for name, engine in self._engines.items():
            if not isinstance(engine, Limiting):
                continue
            try:
                found.update((int(id_), condition) for id_, condition in (await engine.conditions()).items())
            except EngineError as error:
                log.warning("engine.silent", engine=name, reason=str(error))
                found.update(self._conditions)
        self._conditions = found

    async def try_exits(self, records: Collection[ProxyRecord]) -> None:
        """Try the exits of these records before they start, each distinct exit once."""
        await self._try(requirements_of(records))

    async def _try(self, required: Collection[ExitRequirement]) -> None:
        """Try these exits. While an exit fails, its reason stays: each new one would be an event at the master."""
        if not required:
            return
        try:
            failed = await asyncio.to_thread(failed_exits, required)
        except OSError as error:
            log.warning("exits.not_tried", reason=error.strerror)
            return
        before = self._failed
        for each in sorted(failed.keys() - before.keys()):
            log.warning("exit.failed", exit=each.source, engine=each.engine, reason=failed[each].text)
        for each in sorted((before.keys() & set(required)) - failed.keys()):
            log.info("exit.recovered", exit=each.source, engine=each.engine)
        rest = {each: problem for each, problem in before.items() if each not in required}
        self._failed = rest | {each: before.get(each, problem) for each, problem in failed.items()}

    def _note_listen(self, *, lost: bool) -> None:
        if lost != self._listen_lost:
            log.warning("listen_address.lost" if lost else "listen_address.restored", address=self._listen)
        self._listen_lost = lost
