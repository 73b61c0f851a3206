"""Tells the master what proxies were used for: which counters go into a report, and when they are safe there."""

import asyncio
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

LOOK_EVERY_S = 5.0
"""Engines are asked apart from reports: one that is slow to answer holds none up."""
REPEATS_S = (60.0, 600.0, 3600.0)
"""A counter that stands still is told again so long after its last telling, at the end again and again: a report may be
lost, and a database restored. What changes is told anew in any case."""
SAFE_AFTER = 3
"""Tellings, over eleven minutes: reports wait for a master for two."""

Life = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ReportedCounters:
    """How often these very figures were told, the last time at `at` (monotonic seconds)."""

    counters: Counters
    times: int
    at: float


def due(counters: Iterable[Counters], told: Mapping[Life, ReportedCounters], now: float) -> list[Counters]:
    """What should be told now: the longest silent first."""
    found = [one for one in counters if is_due(one, told.get(life(one)), now)]
    return sorted(found, key=lambda one: told[life(one)].at if life(one) in told else 0.0)


def is_due(one: Counters, known: ReportedCounters | None, now: float) -> bool:
    """Whether the figures are news, or have not been repeated for long enough."""
    if known is None or known.counters != one:
        return True
    return now - known.at >= REPEATS_S[min(known.times, len(REPEATS_S)) - 1]


def fitting(counters: Sequence[Counters], room: int) -> tuple[UsageCounters, ...]:
    """As many of the first as fit into so many bytes."""
    usage = [usage_of(one) for one in counters[: room // SMALLEST]]
    filled = accumulate(usage_size(one) for one in usage)
    return tuple(one for one, _ in takewhile(lambda pair: pair[1] <= room, zip(usage, filled, strict=True)))


def usage_of(one: Counters) -> UsageCounters:
    """As it travels."""
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
    """As the engine counted it."""
    return Counters(
        ProxyId(usage.id), usage.epoch, usage.received_bytes, usage.sent_bytes, usage.connections, usage.refused
    )


def life(one: Counters | UsageCounters) -> Life:
    """One life of one proxy's counters."""
    return one.id, one.epoch


def retold(known: ReportedCounters | None, one: Counters, now: float) -> ReportedCounters:
    """What is remembered of a telling."""
    if known is not None and known.counters == one:
        return replace(known, times=known.times + 1, at=now)
    return ReportedCounters(one, 1, now)


class UsageReports:
    """What the engines have counted and the master has been told. An agent that starts anew tells all of it again."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        """Those that count are asked."""
        self._engines = [engine for engine in engines if isinstance(engine, Counting)]
        self._counters: dict[Life, Counters] = {}
        self._told: dict[Life, ReportedCounters] = {}
        self._due: list[Counters] = []

    @property
    def more(self) -> bool:
        """Whether something that is due has not been told yet."""
        return bool(self._due)

    async def run(self) -> None:
        """Ask the engines until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Ask the engines; one that does not answer is asked the next time."""
        found: list[Counters] = []
        for engine in self._engines:
            try:
                found += await engine.usage()
            except EngineError as error:
                log.warning("usage.not_counted", reason=str(error))
                found = [*self._counters.values(), *found]
        self._counters = {life(one): one for one in found}
        self._told = {key: known for key, known in self._told.items() if key in self._counters}
        self._due = due(self._counters.values(), self._told, time.monotonic())

    def next(self, room: int) -> tuple[UsageCounters, ...]:
        """What is to be told next, in so many bytes."""
        return fitting(self._due, room)

    async def sent(self, usage: Iterable[UsageCounters]) -> None:
        """The broker has these; what has been told often enough is safe with the master."""
        now = time.monotonic()
        news = {life(one): retold(self._told.get(life(one)), counters_of(one), now) for one in usage}
        if not news:
            return
        self._told |= news
        self._due = [one for one in self._due if is_due(one, self._told.get(life(one)), now)]
        safe = [known.counters for known in news.values() if known.times >= SAFE_AFTER]
        for engine in self._engines if safe else []:
            try:
                await engine.taken(safe)
            except EngineError as error:
                log.warning("usage.not_taken", reason=str(error))
