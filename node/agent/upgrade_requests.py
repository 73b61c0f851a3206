"""Requests of the master to upgrade this node: written for the program that carries them out, and reported."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from node.upgrade.layout import Layout
from node.upgrade.records import FINAL
from node.upgrade.requests import current_report, last_state, why_unable, write_request
from shared.messages.bodies import UpgradeReport, UpgradeRequest
from shared.tasks import wait_for_event

log = structlog.get_logger()

LOOK_UNDER_WAY_S = 1.0
LOOK_S = 5.0
"""Time between two looks at the state, which another program writes."""


class UpgradeReceiver:
    """Takes requests, and knows what reports contain of them."""

    def __init__(self, layout: Layout | None, data_dir: Path) -> None:
        """`layout` is that of the installation; None for a node that was not installed by bundle."""
        self._layout, self._data_dir = layout, data_dir
        self.on_change: Callable[[], None] = lambda: None
        """Called when a report is due."""
        self._asked: UpgradeRequest | None = None
        self._unwritten: tuple[UpgradeRequest, str] | None = None
        self._woken = asyncio.Event()
        self.report = UpgradeReport()

    def take(self, request: UpgradeRequest) -> None:
        """Have the request written soon. One that is lost before is sent again, until a report answers it."""
        self._asked = request
        self._woken.set()

    async def run(self) -> None:
        """Write requests and follow their state until cancelled."""
        unable = await asyncio.to_thread(why_unable, self._layout)
        while True:
            self._woken.clear()
            request, self._asked = self._asked, None
            if request is not None:
                unable = await asyncio.to_thread(why_unable, self._layout)
                await self._write(request, unable)
            await self._look(unable)
            if request is not None:
                self.on_change()
            await wait_for_event(self._woken, self._pause())

    async def _write(self, request: UpgradeRequest, unable: str) -> None:
        """Write the request for the program that carries it out, or note why not."""
        self._unwritten = (request, unable) if unable else None
        if unable:
            log.warning("upgrade.refused", upgrade_id=request.id, version=request.version, reason=unable)
            return
        state = await asyncio.to_thread(last_state, self._layout)
        try:
            if await asyncio.to_thread(write_request, self._data_dir, request, state):
                log.info("upgrade.requested", upgrade_id=request.id, version=request.version)
        except OSError as error:
            self._unwritten = request, f"the request cannot be written: {error.strerror}"
            log.error("upgrade.not_requested", upgrade_id=request.id, reason=error.strerror)

    async def _look(self, unable: str) -> None:
        """Derive the report from what is on disk."""
        report = await asyncio.to_thread(current_report, self._layout, self._data_dir, unable)
        if self._unwritten is not None:
            request, reason = self._unwritten
            refused = {"id": request.id, "version": request.version, "state": "refused", "reason": reason[:300]}
            report = report.model_copy(update=refused)
        if report != self.report:
            self.report = report
            self.on_change()

    def _pause(self) -> float:
        if self._layout is None:
            return float("inf")
        return LOOK_UNDER_WAY_S if self.report.id is not None and self.report.state not in FINAL else LOOK_S
