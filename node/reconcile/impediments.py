"""What keeps proxies that run from serving anybody: their limits, an exit that does not work, a lost listen address."""

import asyncio
import time
from collections.abc import Collection, Mapping

import structlog

from node.engine.interface import Condition, Engine, EngineError, ExitFailed, Limiting
from node.network.exit_requirements import Lack, Need, need_of, needs_of, unlistened
from node.network.exit_trial import failed_exits, is_own
from node.state.local_copy import Holding, LocalCopy
from shared.messages.bodies import ProxyFailure
from shared.proxies import ProxyRecord

log = structlog.get_logger()

TRY_EVERY_S = 15.0
"""Between two trials of all exits, unless the host's addresses change."""

Known = tuple[Mapping[int, Condition], Mapping[Need, Lack], bool]


class Impediments:
    """`known` is replaced as a whole whenever one part of it is asked for again; what it holds never changes."""

    def __init__(self, copy: LocalCopy, engines: Mapping[str, Engine], listen: str | None) -> None:
        """`listen` is the address on which all proxies listen, None for every address."""
        self._copy, self._engines, self._listen = copy, engines, listen
        self._conditions: Mapping[int, Condition] = {}
        self._failed: Mapping[Need, Lack] = {}
        self._deaf = False
        self._try_at = 0.0

    @property
    def known(self) -> Known:
        """For a comparison of two moments."""
        return self._conditions, self._failed, self._deaf

    def of(self, record: ProxyRecord) -> Condition | None:
        """Why this record serves nobody though it runs. An expired proxy stays expired whatever its exit does."""
        condition = self._conditions.get(record.id)
        if condition is not None and condition.kind == "expired":
            return condition
        if self._deaf and self._listen is not None:
            return Condition("failed", unlistened(self._listen).text)
        reason = self.exit_failure(record)
        return Condition("failed", reason) if reason is not None else condition

    def failure(self, holding: Holding) -> ProxyFailure | None:
        """As it is reported."""
        condition = self.of(holding.record) if holding.record is not None else None
        if condition is None:
            return None
        reason = condition.reason[:300]
        return ProxyFailure(id=holding.id, version=holding.version, reason=reason, kind=condition.kind)

    def refuse(self, record: ProxyRecord) -> None:
        """Raises ExitFailed where the record's exit does not work."""
        if (reason := self.exit_failure(record)) is not None:
            raise ExitFailed(reason)

    def exit_failure(self, record: ProxyRecord) -> str | None:
        """Why the record's exit does not work, as of its last trial."""
        need = need_of(record)
        lack = self._failed.get(need) if need is not None else None
        return lack.text if lack is not None else None

    def expire(self) -> None:
        """The host's addresses have changed: the next `ask` tries all exits."""
        self._try_at = 0.0

    async def ask(self) -> None:
        """Ask the engines which proxies they hold to limits and, when it is time, try the exits of all records."""
        await self.ask_engines()
        if time.monotonic() < self._try_at:
            return
        self._try_at = time.monotonic() + TRY_EVERY_S
        needs = needs_of(holding.record for holding in self._copy.holdings.values())
        self._failed = {need: lack for need, lack in self._failed.items() if need in needs}
        await self._try(needs)
        if self._listen is not None:
            self._note_listen(deaf=not is_own(self._listen))

    async def ask_engines(self) -> None:
        """Of an engine that does not answer the last answer is kept."""
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
        """Try the exits of these records, each distinct one once, before they start."""
        await self._try(needs_of(records))

    async def _try(self, needs: Collection[Need]) -> None:
        """The reason of an exit that keeps failing stays as it was: every new one is an event at the master."""
        if not needs:
            return
        try:
            failed = await asyncio.to_thread(failed_exits, needs)
        except OSError as error:
            log.warning("exits.not_tried", reason=error.strerror)
            return
        before = self._failed
        for need in sorted(failed.keys() - before.keys()):
            log.warning("exit.failed", exit=need.place, engine=need.engine, reason=failed[need].text)
        for need in sorted((before.keys() & set(needs)) - failed.keys()):
            log.info("exit.works", exit=need.place, engine=need.engine)
        rest = {need: lack for need, lack in before.items() if need not in needs}
        self._failed = rest | {need: before.get(need, lack) for need, lack in failed.items()}

    def _note_listen(self, *, deaf: bool) -> None:
        if deaf != self._deaf:
            log.warning("listen.lost" if deaf else "listen.back", address=self._listen)
        self._deaf = deaf
