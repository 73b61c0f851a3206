"""What a customer's samples say, and whether that is as promised."""

from collections.abc import Sequence
from dataclasses import dataclass

P50_MS, P99_MS = 10.0, 50.0
BACK_S = 1.0
REMOVED_S = 1.0
CALM = 5
"""Answers in a row, as quick as before the attack, from which on all is as before."""

Sample = tuple[float, float]
"""(seconds of the monotonic clock, milliseconds)"""


@dataclass(frozen=True)
class Figures:
    """One attack: the customer's milliseconds meanwhile; seconds until all was as before; the longest that the agent
    waited for an answer; how long the removal of the abused proxy took; how often its worker was called stuck."""

    attack: str
    count: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    back_s: float
    control_ms: float
    removed_ms: float
    stuck: int
    did: str

    @property
    def holds(self) -> bool:
        quick = self.p50_ms <= P50_MS and self.p99_ms <= P99_MS
        return quick and self.back_s <= BACK_S and self.removed_ms <= REMOVED_S * 1000 and not self.stuck


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")


def within(samples: Sequence[Sample], begin: float, end: float) -> list[float]:
    return sorted(took for at, took in samples if begin <= at < end)


def back_after(samples: Sequence[Sample], end: float, usual_ms: float) -> float:
    """Seconds from the end of the attack to the first of several quick answers in a row."""
    row: list[float] = []
    for at, took in samples:
        if at >= end:
            row = [*row, at] if took <= usual_ms else []
            if len(row) == CALM:
                return row[0] - end
    return float("inf")


def table(rows: Sequence[Figures]) -> str:
    """Markdown."""
    head = "| attack on A | B p50 | p99 | worst | as before after | agent's longest wait | A removed after | stuck |\n"
    return head + "|---|--:|--:|--:|--:|--:|--:|--:|\n" + "".join(f"{_row(each)}\n" for each in rows)


def _row(each: Figures) -> str:
    return (
        f"| {each.attack} | {each.p50_ms:.1f} ms | {each.p99_ms:.1f} ms | {each.worst_ms:.0f} ms | {each.back_s:.2f} s "
        f"| {each.control_ms:.0f} ms | {each.removed_ms:.0f} ms | {each.stuck}{'' if each.holds else ' (!)'} |"
    )
