"""Processes of this machine, read from /proc on Linux and from ps elsewhere. Imports the standard library alone."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.services.sockets import listeners

PROC = Path("/proc")
BOOT = PROC / "sys/kernel/random/boot_id"


@dataclass(frozen=True)
class Birth:
    """Identity of a process: its id, boot and start time, which distinguish it from a later process with its id."""

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        return started_at(self.pid) == self.started


def birth_of(pid: int) -> Birth | None:
    """Identify a process; None if it does not exist or is a zombie."""
    started = started_at(pid)
    return Birth(pid, started) if started else None


def started_at(pid: int) -> str | None:
    """Return when a process started: boot id and clock ticks on Linux (proc(5)), the time of day elsewhere."""
    if BOOT.exists():
        try:
            state, *fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if state in "ZX" else f"{boot_id()} {fields[18]}"
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    state, _, started = subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition(" ")
    return None if state[:1] in ("", "Z") else started.strip()


@cache
def boot_id() -> str:
    return BOOT.read_text().strip()


def descendants(pid: int) -> list[int]:
    """List every process below this one except zombies, parents first."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


def parents() -> dict[int, int]:
    """Map the id of each process to that of its parent."""
    return _parents_by_proc() if (PROC / "self/stat").exists() else _parents_by_ps()


def _parents_by_proc() -> dict[int, int]:
    found: dict[int, int] = {}
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        try:
            # The name, in parentheses, may hold spaces and parentheses (proc(5)).
            state, parent = (PROC / entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(entry)] = int(parent)
    return found


def _parents_by_ps() -> dict[int, int]:
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in (line.split() for line in lines.splitlines())}


def name_of(pid: int) -> str:
    """Return the program's name, without its arguments."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "ended"


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid in parents()


def listener_pids(port: int, host: str = "127.0.0.1") -> set[int]:
    """Find the processes, except this one, that listen on a port of this address."""
    links = {f"socket:[{each.inode}]" for each in listeners(port, host)}
    return {int(fd.parts[2]) for fd in Path("/proc").glob("[0-9]*/fd/*") if link_of(fd) in links} - {os.getpid()}


def link_of(path: Path) -> str | None:
    with suppress(OSError):
        return os.readlink(path)
    return None
