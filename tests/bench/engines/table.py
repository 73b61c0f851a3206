"""The figures as Markdown: pure."""

import statistics
from collections.abc import Iterable, Sequence

from tests.bench.engines.cases import Case, Figure, Target
from tests.bench.engines.contenders import BUILTIN
from tests.bench.engines.fleet import Fleet
from tests.bench.engines.handover import Handover
from tests.bench.engines.memory import Held
from tests.bench.engines.rounds import FULL, Sample

NOTHING = "-"
LIMITED = "*"
MIB = 2**20

HELD = {
    "idle": ("memory per idle relay", 1.0),
    "stalled": ("memory per stalled reader", 64.0),
}
FLEETS = {10: None, 1_000: (0.3, 25), 10_000: (1.0, 40)}
ADDING_MS = 1.0
BACK_MS, BACK_PROXIES = 200.0, 1_000
PAUSE_MS = 200


def medians(samples: Iterable[Sample], case: str, contender: str) -> dict[str, float] | None:
    """By figure; None when it took no part or did not do the work."""
    found = [each.figures for each in samples if (each.case, each.contender) == (case, contender) and each.figures]
    return {key: statistics.median(figures[key] for figures in found) for key in found[0]} if found else None


def load_was_limit(samples: Iterable[Sample], case: str, contender: str) -> bool:
    busy = [each.load_busy for each in samples if (each.case, each.contender) == (case, contender)]
    return bool(busy) and statistics.median(busy) >= FULL


def speed(samples: Sequence[Sample], cases: Sequence[Case], names: Sequence[str]) -> str:
    """A row for each figure, a column for each contender, and the ratios that count."""
    rows = [row(samples, case, figure, names) for case in cases for figure in case.figures]
    return table(["", *names, "ratio", "target"], rows)


def row(samples: Sequence[Sample], case: Case, figure: Figure, names: Sequence[str]) -> list[str]:
    first = f"**{case.title}**, {figure.unit}" if figure.key == "rate" else f"{figure.title}, {figure.unit}"
    cells = [cell(samples, case, figure, name) for name in names]
    told = [(target, ratio(samples, case, figure, target)) for target in figure.targets]
    ratios = [f"{NOTHING if value is None else verdict(target, value)}" for target, value in told]
    return [first, *cells, ", ".join(ratios), ", ".join(str(target) for target, _ in told)]


def cell(samples: Sequence[Sample], case: Case, figure: Figure, name: str) -> str:
    found = medians(samples, case.key, name)
    if found is None or (figure.key == "cpu" and not found["cpu"]):
        return NOTHING
    mark = LIMITED if figure.key == "rate" and load_was_limit(samples, case.key, name) else ""
    return number(found[figure.key]) + mark


def ratio(samples: Sequence[Sample], case: Case, figure: Figure, target: Target) -> float | None:
    ours, theirs = medians(samples, case.key, BUILTIN), medians(samples, case.key, target.against)
    return ours[figure.key] / theirs[figure.key] if ours and theirs and theirs[figure.key] else None


def verdict(target: Target, value: float) -> str:
    return f"{value:.2f} {'✓' if target.met(value) else '✗'}"


def memory(found: Sequence[Held], names: Sequence[str]) -> str:
    """KiB for each relay."""
    rows: list[list[str]] = []
    for kind, (title, most) in HELD.items():
        of_kind = {each.contender: each for each in found if each.kind == kind}
        if of_kind:
            relays = max(each.relays for each in of_kind.values())
            cells = [number(of_kind[name].each_kib) if name in of_kind else NOTHING for name in names]
            rows.append([f"{title} ({relays:,}), KiB", *cells, limit(of_kind.get(BUILTIN), most)])
    return table(["", *names, "target"], rows)


def limit(ours: Held | None, most: float) -> str:
    return f"≤ {most:g}" + (f" {'✓' if ours.each_kib <= most else '✗'}" if ours else "")


def fleets(found: Sequence[Fleet]) -> str:
    """A row for each size."""
    rows = [
        [
            f"{each.proxies:,}",
            number(each.worker_s),
            within(each.accepting_s, FLEETS[each.proxies], 0),
            within(each.pss_bytes / MIB, FLEETS[each.proxies], 1),
            f"{number(each.adding_ms)} (≤ {ADDING_MS:g} {'✓' if each.adding_ms <= ADDING_MS else '✗'})",
            number(each.adding_worst_ms),
            within(each.back_s * 1000, (BACK_MS,) if each.proxies == BACK_PROXIES else None, 0),
        ]
        for each in found
    ]
    heads = ["proxies in one worker", "worker answers after, s", "then all accept after, s", "PSS, MiB"]
    return table([*heads, "adding one, median ms", "worst of 50, ms", "back after kill -9, ms"], rows)


def handovers(found: Sequence[Handover]) -> str:
    """What came through an upgrade."""
    rows = [
        [
            f"{each.proxies:,} proxies, {each.relays:,} relays",
            f"{each.lost + each.broken} of {each.relays:,}{passed(not each.lost + each.broken)}",
            f"{each.refused} of {each.new_connections:,}{passed(not each.refused)}",
            f"{each.wrong} in {each.exchanges:,} exchanges{passed(not each.wrong)}",
            f"{number(each.pause_s * 1000)} (≤ {PAUSE_MS}{passed(each.pause_s * 1000 <= PAUSE_MS)})",
            number(each.waited_ms),
            number(each.took_s),
        ]
        for each in found
    ]
    heads = ["handover under load", "relays lost", "connects failed", "chunks wrong", "longest pause, ms"]
    return table([*heads, "slowest exchange, ms", "took, s"], rows)


def passed(good: bool) -> str:
    return " ✓" if good else " ✗"


def within(value: float, most: Sequence[float] | None, which: int) -> str:
    return number(value) + (f" (≤ {most[which]:g} {'✓' if value <= most[which] else '✗'})" if most else "")


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
