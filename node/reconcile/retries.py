"""Which records did not start, or did not stay up, and when each is tried again."""

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from node.engine.interface import EngineError, EnginePortTaken, ExitFailed
from node.reconcile.plan import Running, Trouble, died, troubled
from node.state.local_copy import Holding, LocalCopy
from shared.proxies import ProxyRecord

log = structlog.get_logger()


class Retries:
    """`current` by proxy; what is past is remembered, for a proxy that keeps ending."""

    def __init__(self, copy: LocalCopy) -> None:
        self.current: dict[int, Trouble] = {}
        self._past: dict[int, Trouble] = {}
        self._copy = copy

    def soonest(self) -> float:
        """When one is tried again, in monotonic seconds."""
        return min((trouble.next_at for trouble in self.current.values()), default=float("inf"))

    def due(self) -> set[int]:
        now = time.monotonic()
        return {id_ for id_, trouble in self.current.items() if trouble.next_at <= now}

    def hurry(self, exit_failure: Callable[[ProxyRecord], str | None]) -> None:
        """Try those again at once that an exit held up which works by now."""
        for id_, trouble in self.current.items():
            holding = self._copy.holdings.get(id_)
            record = holding.record if holding is not None else None
            if trouble.exit_failed and record is not None and exit_failure(record) is None:
                self.current[id_] = replace(trouble, next_at=0.0)

    def died(self, id_: int, running: Running, now: float) -> None:
        """It ran, and is gone."""
        trouble = died(running, self._past.pop(id_, None), now)
        if trouble is not None:
            self.current[id_] = trouble

    def failed(self, record: ProxyRecord, error: EngineError) -> bool:
        """It could not be started; whether the last good record may be, in its place."""
        before, holding = self.current.get(record.id), self._copy.holdings.get(record.id)
        if before is None or before.reason != str(error):
            log.warning("proxy.start_failed", proxy_id=record.id, version=record.version, reason=str(error))
        if before is not None and holding is not None and record is holding.good is not holding.record:
            self.current[record.id] = replace(before, fallback_failed=True)
            return False
        self.current[record.id] = troubled(
            before,
            record.version,
            str(error),
            time.monotonic(),
            port_taken=isinstance(error, EnginePortTaken),
            exit_failed=isinstance(error, ExitFailed),
        )
        return True

    def proven(self, record: ProxyRecord) -> list[Holding]:
        """The holding of a record that runs now, unless another one came meanwhile; its troubles are past."""
        holding = self._copy.holdings.get(record.id)
        if holding is None or holding.record is not record:
            return []
        trouble = self.current.pop(record.id, None)
        if trouble is not None:
            self._past[record.id] = trouble
        return [holding]

    def forget(self) -> None:
        """Those of proxies that are not held any more."""
        for troubles in (self.current, self._past):
            for id_ in troubles.keys() - self._copy.holdings.keys():
                del troubles[id_]
