"""The state of running processes on disk, which the engine reads after a restart of the agent: one small file each."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.proxies import ProxyId, Version

log = structlog.get_logger()

OURS = {".json", ".cfg", ".log", ".counts", ".new"}

STEM = re.compile(r"\d+-\d+")


class ProcessState(BaseModel):
    """A process that accepts connections. `stem` is the base name of its files, `digest` identifies its configuration,
    `exit_address` is empty if the host chooses.

    A pid alone proves nothing: the process is the recorded one only if the boot and the start time agree too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: ProxyId
    version: Version
    port: int
    digest: str
    stem: str
    boot: str
    pid: int
    started: int
    listener_fd: int
    listener: str
    exit_address: str = ""


class StateFolder:
    """The engine's directory. Everything in it is private, because configurations contain passwords."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def configuration(self, stem: str) -> Path:
        return self.path / f"{stem}.cfg"

    def log(self, stem: str) -> Path:
        return self.path / f"{stem}.log"

    def counts(self, stem: str) -> Path:
        return self.path / f"{stem}.counts"

    def state(self, proxy_id: ProxyId) -> Path:
        return self.path / f"{proxy_id}.json"

    def states(self) -> Iterator[ProcessState]:
        """The states that are readable."""
        for path in self.path.glob("*.json"):
            try:
                yield ProcessState.model_validate_json(path.read_bytes())
            except ValidationError:
                continue  # written by another release, or damaged: its process is treated as a stray

    def remember(self, state: ProcessState) -> None:
        write_whole(self.state(state.id), state.model_dump_json())

    def forget(self, proxy_id: ProxyId) -> None:
        remove(self.state(proxy_id))

    def discard(self, stem: str) -> None:
        """Remove the configuration. The log belongs to the ledger, which has yet to count it."""
        remove(self.configuration(stem))

    def counted_stems(self) -> set[str]:
        """The stems of all processes, running or not, with a log or counts on disk."""
        return {path.stem for end in ("*.log", "*.counts") for path in self.path.glob(end) if STEM.fullmatch(path.stem)}

    def keep_only(self, kept: dict[ProxyId, str]) -> None:
        """Remove files left behind by a crash; `kept` are the stems by id. Counts, and logs that are to be counted,
        stay."""
        names = {f"{id_}.json" for id_ in kept} | {f"{stem}.cfg" for stem in kept.values()}
        names |= {path.name for stem in self.counted_stems() for path in (self.log(stem), self.counts(stem))}
        for path in self.path.glob("*"):
            if path.suffix in OURS and path.name not in names:
                remove(path)

    def new_stem(self, proxy_id: ProxyId) -> str:
        """A new stem from the id and the time in microseconds, unique even if the clock was set back: a successor
        neither overwrites its predecessor's files nor continues its counts."""
        epoch = time.time_ns() // 1000
        while any(path(f"{proxy_id}-{epoch}").exists() for path in (self.configuration, self.log, self.counts)):
            epoch += 1
        return f"{proxy_id}-{epoch}"


def identity(stem: str) -> tuple[ProxyId, int]:
    """The proxy's id and the epoch of its counts."""
    id_, _, epoch = stem.partition("-")
    return ProxyId(int(id_)), int(epoch)


def remove(path: Path) -> None:
    """Remove a file. If the disk refuses, the file stays and is found at the next start, where it does no harm."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("file.not_removed", path=str(path), reason=error.strerror)


def write_whole(path: Path, text: str) -> None:
    """Write a file completely or not at all. It is not synced: after a power failure the boot differs anyway. Raises
    OSError."""
    aside = path.with_name(f"{path.name}.new")
    write_private(aside, text)
    aside.replace(path)


def write_private(path: Path, text: str) -> None:
    """Write a new file that has mode 0600 from the beginning. Raises OSError, also if the disk is full."""
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
