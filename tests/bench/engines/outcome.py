"""All that one run of the benchmark found, and how it is told."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.engines import table
from tests.bench.engines.cases import Case
from tests.bench.engines.configurations import PROGRAMS
from tests.bench.engines.contenders import find, version
from tests.bench.engines.fleet import Fleet
from tests.bench.engines.handover import Handover
from tests.bench.engines.measuring import Cores
from tests.bench.engines.memory import Held
from tests.bench.engines.rounds import Sample


@dataclass
class Outcome:
    """Filled as the run goes on. `missing` and `notes` say something of a contender in words."""

    machine: str
    cases: Sequence[Case]
    names: list[str]
    missing: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict[str, str])
    samples: list[Sample] = field(default_factory=list[Sample])
    held: list[Held] = field(default_factory=list[Held])
    fleets: list[Fleet] = field(default_factory=list[Fleet])
    handovers: list[Handover] = field(default_factory=list[Handover])

    def leave_out(self, name: str, why: str) -> None:
        self.names.remove(name)
        self.missing[name] = why

    def markdown(self) -> str:
        parts = [f"{self.machine}\n"]
        if self.samples:
            parts += [table.speed(self.samples, self.cases, self.names), ""]
        if self.held:
            parts += [table.memory(self.held, [name for name in self.names if name != "direct"]), ""]
        if self.fleets:
            parts += [table.fleets(self.fleets), ""]
        if self.handovers:
            parts += [table.handovers(self.handovers), ""]
        return "\n".join([*parts, *self._remarks()])

    def _remarks(self) -> Iterator[str]:
        versions = {name: self._version(name) for name in self.names if name in PROGRAMS}
        yield "- " + ", ".join(f"{name} {told}".strip() for name, told in versions.items()) + "."
        for name, note in (self.notes | self.missing).items():
            yield f"- {name}: {note}."
        if any(table.load_was_limit(self.samples, case.key, name) for case in self.cases for name in self.names):
            yield "- \\*: generator and origin used their core up, so the figure is theirs and the proxy can do more."
        if self.samples:
            others = statistics.median(each.others_busy for each in self.samples)
            yield f"- Meanwhile other programs used {others:.2f} cores of this machine (median over the runs)."
        yield from self._failures()

    def _failures(self) -> Iterator[str]:
        """Each reason once."""
        cases: dict[tuple[str, str], set[str]] = {}
        for each in self.samples:
            if each.why:
                cases.setdefault((each.contender, each.why), set()).add(each.case)
        for (name, why), among in cases.items():
            yield f"- {name}, {', '.join(sorted(among))}: {why}."

    def _version(self, name: str) -> str:
        binary = find(name, os.environ)
        return version(binary, PROGRAMS[name]) if binary else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": self.machine,
            "missing": self.missing,
            "notes": self.notes,
            "samples": [asdict(each) for each in self.samples],
            "memory": [asdict(each) for each in self.held],
            "fleets": [asdict(each) for each in self.fleets],
            "handovers": [asdict(each) for each in self.handovers],
        }


def machine(cores: Cores) -> str:
    """Processor, kernel, congestion control and Python in a sentence, and who runs where."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return (
        f"{len(cores.proxy | cores.load)} cores of {model}, Linux {platform.release()} with TCP {congestion}, Python"
        f" {platform.python_version()}; {cores}."
    )
