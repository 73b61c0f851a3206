"""Notices from the kernel that addresses of this host come or go (rtnetlink(7))."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from node.engine.builtin.net.own_addresses import open_notice

log = structlog.get_logger()

QUIET_S = 0.2
"""Time to wait after a notice: addresses change in bursts, and a renewed one is absent for a moment."""
REST_S = 1.0
"""Shortest time between two calls: starting and stopping containers change addresses all the time."""


async def watch_addresses(changed: Callable[[], None]) -> None:
    """Call `changed` after each burst until cancelled. The kernel sends no notice for routes to whole prefixes."""
    try:
        notice = open_notice()
    except OSError as error:
        log.warning("addresses.no_notice", error=type(error).__name__)
        return
    noticed = asyncio.Event()

    def receive() -> None:
        # ENOBUFS means that notices were lost, which is a notice as well.
        with suppress(OSError):
            notice.recv(65536)
        noticed.set()

    loop = asyncio.get_running_loop()
    with notice:
        loop.add_reader(notice, receive)
        try:
            while True:
                await noticed.wait()
                await asyncio.sleep(QUIET_S)
                noticed.clear()
                changed()
                await asyncio.sleep(REST_S)
        finally:
            loop.remove_reader(notice)
