"""What a tree of processes costs: CPU time and memory; and which cores it may use."""

import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.services.processes import descendants

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Those that proxies run on and those of the generator and the origin; the same when there is only one."""

    proxy: frozenset[int]
    load: frozenset[int]

    def __str__(self) -> str:
        if self.proxy == self.load:
            return "everything shares the one core"
        listed = ", ".join(map(str, sorted(self.load)))
        return f"the proxy is pinned to core {min(self.proxy)}, generator and origin to core {listed}"


def split_cores() -> Cores:
    """The last core for the proxy, the others for the load."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(cores[-1:]), frozenset(cores[:-1] or cores))


@contextmanager
def pinned(cores: Iterable[int]) -> Generator[None]:
    """What is started meanwhile inherits these cores (sched_setaffinity(2))."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def prefer(pid: int, nice: int) -> None:
    """Gives the session of a process this priority. Where the kernel shares the processor among sessions, its own
    nice value counts inside its session only (sched(7), autogroup)."""
    # A short run may be over already.
    with suppress(FileNotFoundError, ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, os.getpgid(pid), nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


@contextmanager
def preferred(nice: int) -> Generator[None]:
    """This process's session, for as long as the context is entered."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    prefer(os.getpid(), nice)
    try:
        yield
    finally:
        prefer(os.getpid(), before)


def tree(roots: Iterable[int]) -> list[int]:
    return [pid for root in roots for pid in (root, *descendants(root))]


def cpu_s(roots: Iterable[int]) -> float:
    """User and system time of these processes and all below, ended and reaped ones included."""
    return sum(_process_s(pid) + _reaped_s(pid) for pid in tree(roots))


def _process_s(pid: int) -> float:
    """By the process's own clock, exact to the nanosecond where /proc has ticks (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _reaped_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[13]) + int(fields[14])) / TICKS


def pss_bytes(roots: Iterable[int]) -> int:
    """Proportional memory: pages that several processes share are counted once among them."""
    return _rolled_up(roots, "Pss:")


def own_bytes(roots: Iterable[int]) -> int:
    """Proportional memory without that of files, which changes with every other process that opens them."""
    return _rolled_up(roots, "Pss_Anon:")


def _rolled_up(roots: Iterable[int], name: str) -> int:
    found = 0
    for pid in tree(roots):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
    return found


def machine_busy_s() -> float:
    """CPU time that all programs of this machine used since it started."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS
