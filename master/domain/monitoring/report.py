"""The report of the doctor, as the API shows it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from master.domain.monitoring.kept import Kept
from master.domain.monitoring.schemas import HealthFinding, HealthReport
from shared.doctor.findings import Finding, Level, one_line

KEPT_S = 10.0
"""The age of a report. Each examination asks PostgreSQL, the broker and the API again."""
WORST: tuple[Level, ...] = ("problem", "warning", "ok")

Examine = Callable[[], Awaitable[Sequence[Finding]]]
"""Examines the master and its surroundings; `master.app` provides the doctor, which is above the domain."""


class HealthReports:
    """The latest report."""

    def __init__(self, examine: Examine) -> None:
        self._examine = examine
        self._report = Kept(self._make, KEPT_S)

    async def latest(self) -> HealthReport:
        """Return the report, at most KEPT_S old."""
        return await self._report.get()

    async def _make(self) -> HealthReport:
        return report_of(await self._examine(), datetime.now(UTC))


def report_of(findings: Sequence[Finding], made_at: datetime) -> HealthReport:
    """Return the findings as a report, the worst first."""
    items = [
        HealthFinding(check=one.check, level=one.level, text=one_line(one.text), advice=one.advice or None)
        for level in WORST
        for one in findings
        if one.level == level
    ]
    return HealthReport(made_at=made_at, level=items[0].level if items else "ok", items=items)
