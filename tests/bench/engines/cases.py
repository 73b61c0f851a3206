"""What is measured and what the built-in engine must reach: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from tests.bench.engines.contenders import Running
from tests.bench.engines.generator import Load

MIB, GIB = 2**20, 2**30
ENDLESS = 10**15
"""Bytes of an answer that no run comes to the end of."""


@dataclass(frozen=True)
class Target:
    """The built-in engine's figure divided by the other's."""

    against: str
    ratio: float
    kind: Literal["at least", "at most"] = "at least"

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.ratio:g} of {self.against}"

    def met(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.kind == "at least" else ratio <= self.ratio


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    key: Literal["rate", "p50", "p99", "cpu"]
    title: str
    unit: str
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Case:
    """One kind of load. `ways` are the generator's `how`, the first that a contender speaks; `plain` tells whether it
    also makes sense without a proxy."""

    key: str
    title: str
    ways: tuple[str, ...]
    options: Mapping[str, object]
    figures: tuple[Figure, ...]
    plain: bool = True
    bulk: bool = field(default=False)


def _figures(rate: tuple[str, float], each: str, cpu: float | None, p99: float | None = None) -> tuple[Figure, ...]:
    return (
        Figure("rate", rate[0], "/s", (Target("3proxy", rate[1]),) if rate[1] else ()),
        Figure("p50", "median", "ms"),
        Figure("p99", "99th percentile", "ms", (Target("3proxy", p99, "at most"),) if p99 else ()),
        Figure("cpu", f"CPU per {each}", "µs", (Target("3proxy", cpu, "at most"),) if cpu else ()),
    )


def _bulk(streams: int) -> Case:
    figures = (
        Figure("rate", "throughput", "MiB/s", (Target("3proxy", 3), Target("direct", 0.85))),
        Figure("cpu", "CPU per GiB", "s", (Target("3proxy", 0.35, "at most"),)),
    )
    title = f"bulk download, {streams} {'stream' if streams == 1 else 'streams'}"
    options = {"connections": streams, "reuse": 1, "size": ENDLESS, "discard": 1}
    return Case(f"bulk{streams}", title, ("connect", "socks5"), options, figures, bulk=True)


def _connections(key: str, title: str, ratio: float, *, plain: bool = False) -> Case:
    figures = _figures(("connections", ratio), "connection", 0.57)
    return Case(key, f"new connections, {title}", (key,), {"connections": 32}, figures, plain)


CASES: Mapping[str, Case] = MappingProxyType(
    {
        case.key: case
        for case in (
            _connections("connect", "HTTP CONNECT with a login", 1.8),
            _connections("get", "HTTP GET with a login", 1.8, plain=True),
            _connections("socks5", "SOCKS5 with a login", 1.7),
            Case(
                "requests",
                "small requests on 100 keep-alive connections",
                ("get",),
                {"connections": 100, "reuse": 1},
                _figures(("requests", 1.7), "request", None, 0.5),
            ),
            Case(
                "exchanges",
                "small exchanges in 100 open tunnels",
                ("connect", "socks5"),
                {"connections": 100, "reuse": 1},
                _figures(("exchanges", 0), "exchange", None),
            ),
            _bulk(1),
            _bulk(16),
        )
    }
)


def way(case: Case, running: Running) -> tuple[str, str] | None:
    """How this contender is spoken to and where; None when it cannot take part."""
    if running.relay:
        return ("direct", running.relay) if case.plain else None
    for how in case.ways:
        address = running.socks5 if how == "socks5" else running.http
        if address:
            return how, address
    return None


def reached(case: Case, load: Load, cpu_s: float) -> dict[str, float] | None:
    """The figures of one run, in the units of their rows; None when it did not do the work."""
    amount = load.bytes / GIB if case.bulk else load.done
    if not amount or (load.reopened > load.done / 10 and not case.bulk):
        return None
    if case.bulk:
        return {"rate": load.bytes / MIB / load.seconds, "cpu": cpu_s / amount}
    return {
        "rate": load.done / load.seconds,
        "p50": load.p50_us / 1000,
        "p99": load.p99_us / 1000,
        "cpu": cpu_s / amount * 1e6,
    }
