"""The share of the host's processors and memory that is in use, from /proc."""

import re
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
BUSY_COLUMNS = (1, 2, 3, 6, 7, 8)
IDLE_COLUMNS = (4, 5)
"""Columns of the first line of /proc/stat (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal. Time of
guests, in the last two, is part of user and nice."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Ticks since the host's start, of all processors together."""

    busy: int
    idle: int


def cpu_times(stat: str) -> CpuTimes | None:
    """Read the text of /proc/stat; None if it is not as expected."""
    columns = stat.partition("\n")[0].split()
    if columns[:1] != ["cpu"] or len(columns) <= max(BUSY_COLUMNS):
        return None
    busy, idle = (sum(int(columns[place]) for place in places) for places in (BUSY_COLUMNS, IDLE_COLUMNS))
    return CpuTimes(busy, idle)


def cpu_share(before: CpuTimes | None, after: CpuTimes | None) -> float | None:
    """Compute the share of time in which processors worked, to two digits; None if that is unknown."""
    if before is None or after is None:
        return None
    busy, idle = after.busy - before.busy, after.idle - before.idle
    return round(busy / (busy + idle), 2) if busy >= 0 and idle >= 0 and busy + idle > 0 else None


def memory_share(meminfo: str) -> float | None:
    """Compute the share of memory that programs cannot get any more, to two digits, from the text of /proc/meminfo."""
    sizes = {name: int(size) for name, size in re.findall(r"^(MemTotal|MemAvailable):\s+(\d+)", meminfo, re.M)}
    total, available = sizes.get("MemTotal", 0), sizes.get("MemAvailable", -1)
    return round(1 - available / total, 2) if 0 <= available <= total and total else None


def read_cpu_times() -> CpuTimes | None:
    """Return the host's times; None where the system shows none."""
    return cpu_times(read("stat"))


def read_memory_share() -> float | None:
    """Return the share of the host's memory; None where the system shows none."""
    return memory_share(read("meminfo"))


def read(name: str) -> str:
    """Read a file of /proc: empty where there is none."""
    try:
        return (PROC / name).read_text(errors="replace")
    except OSError:
        return ""
