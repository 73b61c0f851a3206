"""Usage in reports: which counters the next report carries, and when the master has them safely."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile

import structlog

from node.engine.interface import Counters, Counting, Engine, EngineError
from shared.messages.bodies import UsageCounters
from shared.messages.writing import usage_size
from shared.proxies import ProxyId

log = structlog.get_logger()

COLLECT_EVERY_S = 5.0
"""Engines are asked apart from reports, so that a slow engine delays no report."""
REPEATS_S = (60.0, 600.0, 3600.0)
"""Waits before an unchanged counter is reported again, the last of them for ever: a report may be lost, or the database
restored. A counter that has changed is always due."""
SAFE_AFTER = 3
"""Number of reports after which a counter is safe. They span eleven minutes; a report waits two minutes for a master at
most (the TTL of its queue)."""

EpochKey = tuple[int, int]
"""Proxy id and epoch: one life of one proxy's counters."""


@dataclass(frozen=True, slots=True)
class ReportedCounters:
    """Counters, how often exactly these figures were reported, and when last (`at`, monotonic seconds)."""

    counters: Counters
    times: int
    at: float


def due(counters: Iterable[Counters], reported: Mapping[EpochKey, ReportedCounters], now: float) -> list[Counters]:
    """Select the counters to report now, those reported longest ago first."""
    found = [one for one in counters if is_due(one, reported.get(epoch_key(one)), now)]
    return sorted(found, key=lambda one: reported[epoch_key(one)].at if epoch_key(one) in reported else 0.0)


def is_due(one: Counters, known: ReportedCounters | None, now: float) -> bool:
    """Whether the figures have changed since their last report, or are due to be repeated."""
    if known is None or known.counters != one:
        return True
    return now - known.at >= REPEATS_S[min(known.times, len(REPEATS_S)) - 1]


def fitting(counters: Sequence[Counters], room: int) -> tuple[UsageCounters, ...]:
    """Take counters from the front until `room` bytes are full."""
    usage = [usage_of(one) for one in counters[: room // SMALLEST]]
    filled = accumulate(usage_size(one) for one in usage)
    return tuple(one for one, _ in takewhile(lambda pair: pair[1] <= room, zip(usage, filled, strict=True)))


def usage_of(one: Counters) -> UsageCounters:
    """Convert the engine's counters to those of the message."""
    return UsageCounters(
        id=one.id,
        epoch=one.epoch,
        received_bytes=one.received_bytes,
        sent_bytes=one.sent_bytes,
        connections=one.connections,
        refused=dict(one.refused),
    )


SMALLEST = len('{"id":1,"epoch":1},')
"""Bytes of the smallest counter."""


def counters_of(usage: UsageCounters) -> Counters:
    """Convert counters of a message back to the engine's."""
    return Counters(
        ProxyId(usage.id), usage.epoch, usage.received_bytes, usage.sent_bytes, usage.connections, usage.refused
    )


def epoch_key(one: Counters | UsageCounters) -> EpochKey:
    return one.id, one.epoch


def reported_again(known: ReportedCounters | None, one: Counters, now: float) -> ReportedCounters:
    """Note one more report of these counters."""
    if known is not None and known.counters == one:
        return replace(known, times=known.times + 1, at=now)
    return ReportedCounters(one, 1, now)


class UsageReports:
    """Counters of the engines, and which of them were reported. A restarted agent reports all of them again."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        self._engines = [engine for engine in engines if isinstance(engine, Counting)]
        self._counters: dict[EpochKey, Counters] = {}
        self._reported: dict[EpochKey, ReportedCounters] = {}
        self._due: list[Counters] = []

    @property
    def counters(self) -> Mapping[EpochKey, Counters]:
        """The counters that were collected last. Each collection makes a new mapping."""
        return self._counters

    @property
    def more(self) -> bool:
        """Whether counters are due that no report has carried yet."""
        return bool(self._due)

    async def collect(self) -> None:
        """Read the counters of all engines; an engine that does not answer keeps its last figures."""
        found: list[Counters] = []
        for engine in self._engines:
            try:
                found += await engine.usage()
            except EngineError as error:
                log.warning("usage.not_counted", reason=str(error))
                found = [*self._counters.values(), *found]
        self._counters = {epoch_key(one): one for one in found}
        self._reported = {key: known for key, known in self._reported.items() if key in self._counters}
        self._due = due(self._counters.values(), self._reported, time.monotonic())

    def next(self, room: int) -> tuple[UsageCounters, ...]:
        """Return the counters for the next report, which has `room` bytes for them."""
        return fitting(self._due, room)

    async def sent(self, usage: Iterable[UsageCounters]) -> None:
        """Note that the broker took these counters, and let the engines forget those reported often enough."""
        now = time.monotonic()
        before = self._reported
        sent = {epoch_key(one): reported_again(before.get(epoch_key(one)), counters_of(one), now) for one in usage}
        if not sent:
            return
        self._reported |= sent
        self._due = [one for one in self._due if is_due(one, self._reported.get(epoch_key(one)), now)]
        safe = [known.counters for known in sent.values() if known.times >= SAFE_AFTER]
        for engine in self._engines if safe else []:
            try:
                await engine.taken(safe)
            except EngineError as error:
                log.warning("usage.not_taken", reason=str(error))
