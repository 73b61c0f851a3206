"""Keeps the status file and systemd's view of the agent up to date."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from node.service.notices import Notices
from node.state.status_file import BEAT_S, AgentStatus, write_status
from shared.tasks import wait_for_event

log = structlog.get_logger()

LOOK_S = 1.0
"""Longest time until a change is noticed that wakes nobody."""
REST_S = 0.2
"""Shortest time between two writes."""


class StatusKeeper:
    """Writes the status when it has changed, and renews the file's age while it has not."""

    def __init__(self, path: Path, notices: Notices, current: Callable[[], AgentStatus]) -> None:
        """`current` returns the status of this moment; its `ready` does not count."""
        self._path, self._notices, self._current = path, notices, current
        self._is_ready = self._is_announced = False
        self._written: AgentStatus | None = None
        self._beat_at = 0.0
        self._due = asyncio.Event()
        self._write_failed = False

    def ready(self) -> None:
        """Note that the start is complete. It is reported once the status shows it."""
        self._is_ready = True
        self.wake()

    def wake(self) -> None:
        """Look for changes now."""
        self._due.set()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_writing())
            if self._notices.watchdog_s is not None:
                group.create_task(self._keep_alive(self._notices.watchdog_s / 2))

    def close(self) -> None:
        """Report the end, and remove the file: it would describe an agent that is gone."""
        self._notices.stopping()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    async def _keep_writing(self) -> None:
        while True:
            self._due.clear()
            await self._write_changes(is_ready=self._is_ready)
            self._notices.repeat()
            await asyncio.sleep(REST_S)
            await wait_for_event(self._due, LOOK_S)

    async def _keep_alive(self, period_s: float) -> None:
        """Report from the event loop that it runs: a call that blocks it for long is noticed."""
        while True:
            self._notices.alive()
            await asyncio.sleep(period_s)

    async def _write_changes(self, *, is_ready: bool) -> None:
        status, now = replace(self._current(), ready=is_ready), time.monotonic()
        if status != self._written or now - self._beat_at >= BEAT_S:
            await self._write_status(status, now)
        if is_ready and not self._is_announced:
            self._is_announced = True
            self._notices.ready()

    async def _write_status(self, status: AgentStatus, now: float) -> None:
        if self._written is None or line(status) != line(self._written):
            self._notices.status(line(status))
        self._beat_at = now
        try:
            await asyncio.to_thread(self._write, status, is_new=status != self._written)
        except OSError as error:
            if not self._write_failed:
                log.warning("status.not_written", path=str(self._path), reason=error.strerror)
            self._write_failed, self._written = True, None
        else:
            self._write_failed, self._written = False, status

    def _write(self, status: AgentStatus, *, is_new: bool) -> None:
        if is_new:
            write_status(self._path, status)
        else:
            os.utime(self._path)


def line(status: AgentStatus) -> str:
    """Describe the agent in a line."""
    if status.challenge is not None and status.link == "waiting":
        return "waits to be enrolled; `maybe-node challenge` prints how"
    counts = status.proxies
    failed = f", {counts.failed} failed" if counts.failed else ""
    start = "" if status.ready else "starting: "
    return f"{start}{counts.running} of {counts.wanted} proxies run{failed}; broker: {status.link}"
