"""Hears from the kernel that addresses of this host come or go (rtnetlink(7))."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from node.engine.builtin.net.own_addresses import open_notice

log = structlog.get_logger()

QUIET_S = 0.2
"""Addresses change in bursts, and one that is renewed is gone for a moment."""
REST_S = 1.0
"""Containers that start and stop change addresses all the time."""


async def hear_addresses(changed: Callable[[], None]) -> None:
    """Call `changed` after each burst until cancelled. Routes to whole prefixes come without a notice."""
    try:
        notice = open_notice()
    except OSError as error:
        log.warning("addresses.no_notice", error=type(error).__name__)
        return
    heard = asyncio.Event()

    def hear() -> None:
        # A lost notice (ENOBUFS) is a notice as well.
        with suppress(OSError):
            notice.recv(65536)
        heard.set()

    loop = asyncio.get_running_loop()
    with notice:
        loop.add_reader(notice, hear)
        try:
            while True:
                await heard.wait()
                await asyncio.sleep(QUIET_S)
                heard.clear()
                changed()
                await asyncio.sleep(REST_S)
        finally:
            loop.remove_reader(notice)
