"""Live figures in reports: the node's load, and the open connections and rates of its proxies.

They are measured whenever counters are collected. A report carries those of proxies for which they have changed.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, takewhile

import structlog

from node.agent.host_load import CpuTimes, cpu_share, read_cpu_times, read_memory_share
from node.agent.usage_reports import EpochKey
from node.engine.interface import Counters, Engine, EngineError, Gauging
from shared.messages.bodies import LiveFigures, LoadReport
from shared.messages.writing import usage_size
from shared.proxies import ProxyId

log = structlog.get_logger()

SAMPLES = 4
"""Rates are means over the time between the first and the last sample: fifteen seconds."""
REPEAT_S = 60.0
"""Time after which unchanged figures are reported again, unless they are zero: a report may be lost. The master takes
figures as zero that were not reported for longer (the view proxy_resources)."""
MOST_BPS = 10**12
"""The highest rate that a report may carry."""
DIGITS = 2
"""Significant digits of a rate, so that one that wavers a little counts as unchanged."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """Counters of all proxies and the host's times. `at` are monotonic seconds, `clock_us` microseconds since 1970."""

    at: float
    clock_us: int
    counters: Mapping[EpochKey, Counters]
    cpu: CpuTimes | None


@dataclass(frozen=True, slots=True)
class ReportedFigures:
    """Figures and when they were reported last (`at`, monotonic seconds)."""

    figures: LiveFigures
    at: float


Growth = Mapping[ProxyId, tuple[int, int]]
"""Bytes from clients and to them, of proxies that moved any."""


def growth(before: LoadSample, after: LoadSample) -> Growth:
    """Compute what each proxy has moved. Counters that were not known before count only if they have begun since."""
    received, sent = Counter[ProxyId](), Counter[ProxyId]()
    for key, now in after.counters.items():
        was = before.counters.get(key)
        if was is now or (was is None and now.epoch < before.clock_us):
            continue
        received[now.id] += max(0, now.received_bytes - (was.received_bytes if was else 0))
        sent[now.id] += max(0, now.sent_bytes - (was.sent_bytes if was else 0))
    return {id_: (received[id_], sent[id_]) for id_ in received}


def bits_per_second(count: int, seconds: float) -> int:
    """Compute a rate from bytes, to DIGITS significant digits."""
    rate = min(MOST_BPS, round(count * 8 / seconds)) if seconds > 0 else 0
    return round(rate, DIGITS - len(str(rate)))


def figures_of(moved: Growth, connections: Mapping[ProxyId, int], seconds: float) -> dict[ProxyId, LiveFigures]:
    """Return the figures of each proxy that has any other than zero."""
    found: dict[ProxyId, LiveFigures] = {}
    for id_ in moved.keys() | connections.keys():
        rx_bps, tx_bps = (bits_per_second(count, seconds) for count in moved.get(id_, (0, 0)))
        if rx_bps or tx_bps or connections.get(id_):
            found[id_] = LiveFigures(id=id_, connections=connections.get(id_, 0), rx_bps=rx_bps, tx_bps=tx_bps)
    return found


def due(
    figures: Mapping[ProxyId, LiveFigures], reported: Mapping[ProxyId, ReportedFigures], now: float
) -> list[LiveFigures]:
    """Select the figures to report now, those reported longest ago first. A proxy without any is reported as zero."""
    gone = [LiveFigures(id=id_) for id_ in reported.keys() - figures.keys()]
    found = [one for one in figures.values() if is_due(one, reported.get(ProxyId(one.id)), now)]
    return sorted([*gone, *found], key=lambda one: reported[ProxyId(one.id)].at if one.id in reported else 0.0)


def is_due(one: LiveFigures, known: ReportedFigures | None, now: float) -> bool:
    """Whether the figures have changed since their last report, or are due to be repeated."""
    return known is None or known.figures != one or now - known.at >= REPEAT_S


def fitting(figures: Iterable[LiveFigures], room: int) -> tuple[LiveFigures, ...]:
    """Take figures from the front until `room` bytes are full."""
    figures = tuple(figures)
    filled = accumulate(map(usage_size, figures))
    return tuple(one for one, _ in takewhile(lambda pair: pair[1] <= room, zip(figures, filled, strict=True)))


class LiveReports:
    """The live figures of the engines' proxies, and which of them were reported. `load` is None until there are two
    samples."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        self._engines = [engine for engine in engines if isinstance(engine, Gauging)]
        self._samples: deque[LoadSample] = deque(maxlen=SAMPLES)
        self._connections: Mapping[ProxyId, int] = {}
        self._reported: dict[ProxyId, ReportedFigures] = {}
        self._due: list[LiveFigures] = []
        self.load: LoadReport | None = None

    @property
    def more(self) -> bool:
        """Whether figures are due that no report has carried yet."""
        return bool(self._due)

    async def collect(self, counters: Mapping[EpochKey, Counters]) -> None:
        """Measure, with the counters that were collected just now. An engine that does not answer keeps its last
        connections."""
        try:
            answers = [await engine.connections() for engine in self._engines]
            self._connections = {id_: count for answer in answers for id_, count in answer.items()}
        except EngineError as error:
            log.warning("connections.not_counted", reason=str(error))
        self._samples.append(LoadSample(time.monotonic(), time.time_ns() // 1000, counters, read_cpu_times()))
        self._measure(self._samples[0], self._samples[-1])

    def _measure(self, before: LoadSample, after: LoadSample) -> None:
        if before is after:
            return
        seconds = after.at - before.at
        moved = growth(before, after)
        self.load = LoadReport(
            cpu=cpu_share(before.cpu, after.cpu),
            memory=read_memory_share(),
            rx_bps=bits_per_second(sum(received for received, _ in moved.values()), seconds),
            tx_bps=bits_per_second(sum(sent for _, sent in moved.values()), seconds),
            connections=sum(self._connections.values()),
        )
        self._due = due(figures_of(moved, self._connections, seconds), self._reported, after.at)

    def next(self, room: int) -> tuple[LiveFigures, ...]:
        """Return the figures for the next report, which has `room` bytes for them."""
        return fitting(self._due, room)

    def sent(self, figures: Iterable[LiveFigures]) -> None:
        """Note that the broker took these figures. A proxy that was reported without any is forgotten."""
        now = time.monotonic()
        for one in figures:
            if one == LiveFigures(id=one.id):
                self._reported.pop(ProxyId(one.id), None)
            else:
                self._reported[ProxyId(one.id)] = ReportedFigures(one, now)
        taken = {one.id for one in figures}
        self._due = [one for one in self._due if one.id not in taken]
