"""Retries: the records that did not start or stay up, and when each is tried again."""

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from node.engine.interface import EngineError, EnginePortTaken, ExitFailed
from node.reconcile.plan import FailedStart, Running, died, failed_start
from node.state.local_copy import LocalCopy, StoredProxy
from shared.proxies import ProxyRecord

log = structlog.get_logger()


class Retries:
    """Failed starts by proxy: the `current` ones, and past ones, to recognise a proxy that keeps ending."""

    def __init__(self, copy: LocalCopy) -> None:
        self.current: dict[int, FailedStart] = {}
        self._past: dict[int, FailedStart] = {}
        self._copy = copy

    def soonest(self) -> float:
        """Return the time of the next try, in monotonic seconds; infinity when there is none."""
        return min((failed.next_at for failed in self.current.values()), default=float("inf"))

    def due(self) -> set[int]:
        now = time.monotonic()
        return {id_ for id_, failed in self.current.items() if failed.next_at <= now}

    def hurry(self, exit_failure: Callable[[ProxyRecord], str | None]) -> None:
        """Retry at once the records that failed for an exit which works by now."""
        for id_, failed in self.current.items():
            stored = self._copy.proxies.get(id_)
            record = stored.record if stored is not None else None
            if failed.exit_failed and record is not None and exit_failure(record) is None:
                self.current[id_] = replace(failed, next_at=0.0)

    def died(self, id_: int, running: Running, now: float) -> None:
        """Note that a running proxy has ended."""
        failed = died(running, self._past.pop(id_, None), now)
        if failed is not None:
            self.current[id_] = failed

    def failed(self, record: ProxyRecord, error: EngineError) -> bool:
        """Note that a record did not start; whether to try the last good record in its place."""
        before, stored = self.current.get(record.id), self._copy.proxies.get(record.id)
        if before is None or before.reason != str(error):
            log.warning("proxy.start_failed", proxy_id=record.id, version=record.version, reason=str(error))
        if before is not None and stored is not None and record is stored.good is not stored.record:
            self.current[record.id] = replace(before, fallback_failed=True)
            return False
        self.current[record.id] = failed_start(
            before,
            record.version,
            str(error),
            time.monotonic(),
            port_taken=isinstance(error, EnginePortTaken),
            exit_failed=isinstance(error, ExitFailed),
        )
        return True

    def proven(self, record: ProxyRecord) -> list[StoredProxy]:
        """Note that a record runs; return its stored proxy, unless a newer record has arrived meanwhile."""
        stored = self._copy.proxies.get(record.id)
        if stored is None or stored.record is not record:
            return []
        failed = self.current.pop(record.id, None)
        if failed is not None:
            self._past[record.id] = failed
        return [stored]

    def forget(self) -> None:
        """Forget failures of proxies that are no longer stored."""
        for failed_starts in (self.current, self._past):
            for id_ in failed_starts.keys() - self._copy.proxies.keys():
                del failed_starts[id_]
