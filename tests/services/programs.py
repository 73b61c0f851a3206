"""Long-running programs (processes or containers) that can be started, killed, frozen and started again."""

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.services.processes import descendants, name_of

STOP_S = 15.0
TELLING = re.compile(r"error|fatal|panic|denied|no space|cannot|could not|failed|^E:", re.IGNORECASE)


class ProgramError(Exception):
    """A program failed. The text names it, and may end with the last lines of its log."""


class Program(Protocol):
    """A service or a part of the cluster that runs as a process or a container."""

    name: str
    log: Path

    @property
    def pid(self) -> int | None: ...
    @property
    def is_running(self) -> bool: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def kill(self) -> None: ...
    async def end(self) -> None: ...
    async def freeze(self) -> None: ...
    async def thaw(self) -> None: ...


@dataclass(frozen=True)
class Account:
    """The unprivileged user that a program runs as."""

    uid: int
    gid: int


@dataclass
class Process:
    """A process of this machine, whose output is appended to its log.

    With `whole`, kill and freeze also reach all processes below it; without, only the process itself, since a node's
    proxies outlive its agent. `worker` names the process that does the work if the command only wraps it.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    account: Account | None = None
    whole: bool = True
    worker: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    running: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        if self.running is None:
            return None
        below = descendants(self.running.pid) if self.worker else []
        return next((pid for pid in below if name_of(pid) == self.worker), self.running.pid)

    @property
    def is_running(self) -> bool:
        return self.running is not None and self.running.poll() is None

    async def start(self) -> None:
        """Start the process. Raises ProgramError if it is running or cannot be executed."""
        if self.is_running:
            raise ProgramError(f"{self.name} is already running")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch(mode=0o600)  # a waiting node prints its challenge
        with self.log.open("ab") as log:
            try:
                self.running = self._spawn(log.fileno())
            except OSError as error:
                raise ProgramError(f"{self.name}: {self.command[0]}: {error.strerror}") from error

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        account = self.account
        return subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.environment,
            cwd="/",
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    async def stop(self) -> None:
        """Stop the process and wait. After STOP_S it is killed, and ProgramError is raised."""
        if not self.is_running:
            return
        self._send(self.stop_signal, whole=False)
        self._send(signal.SIGCONT, whole=self.whole)
        if not await self._ended(STOP_S):
            await self.kill()
            raise ProgramError(
                f"{self.name} did not stop within {STOP_S:.0f} s of {self.stop_signal.name}\n{tail(self.log)}"
            )

    async def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL, whole=self.whole)
        await self._ended(STOP_S)

    async def end(self) -> None:
        """End the process for good and at once: its data is no longer needed."""
        await self.kill()

    async def freeze(self) -> None:
        """Send SIGSTOP."""
        self._send(signal.SIGSTOP, whole=self.whole)

    async def thaw(self) -> None:
        """Send SIGCONT."""
        self._send(signal.SIGCONT, whole=self.whole)

    def _send(self, number: signal.Signals, *, whole: bool) -> None:
        if self.running is None or not self.is_running:
            return
        for pid in [self.running.pid, *(descendants(self.running.pid) if whole else [])]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    async def _ended(self, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while self.is_running and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return not self.is_running


@dataclass
class Elsewhere:
    """A service at a given address: it can be used, but not controlled."""

    name: str
    log: Path = Path(os.devnull)
    pid: int | None = None
    is_running: bool = True

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def end(self) -> None:
        pass

    async def kill(self) -> None:
        raise ProgramError(f"{self.name} was given by address: it cannot be killed from here")

    async def freeze(self) -> None:
        raise ProgramError(f"{self.name} was given by address: it cannot be frozen from here")

    async def thaw(self) -> None:
        raise ProgramError(f"{self.name} was given by address: it cannot be thawed from here")


def not_ready(title: str, program: Program, limit_s: float) -> str:
    """Describe why a service cannot be used, with the end of its log."""
    how = f"was not ready within {limit_s:.0f} s" if program.is_running else "ended while it started"
    return f"{title} {how}: {last_words(program.log)}\n{tail(program.log)}"


def last_words(log: Path) -> str:
    """Return the line of a log that most likely names the error."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    return telling_line(text)


def telling_line(text: str) -> str:
    """Return the last line with a word of failure in it, or else the last line."""
    lines = [line.strip() for line in text.splitlines()[-200:] if line.strip()]
    last = lines[-1] if lines else "there was no output"
    return next((line for line in reversed(lines) if TELLING.search(line)), last)[:300]


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, indented."""
    if not log.is_file():
        return f"    (no log at {log})"
    text = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"    the end of {log}:", *(f"    | {line}" for line in text)])
