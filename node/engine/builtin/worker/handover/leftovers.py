"""The rest of a worker that was taken over: it serves on until its last connection has ended."""

import asyncio
from time import monotonic

from node.engine.builtin import log
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.worker.handover.channel import Channel
from node.engine.builtin.worker.handover.giver import FAILED, STEP_S, expect, move_connections
from node.engine.builtin.worker.proxies import Proxies

REMAIN_S = 24 * 3600.0
"""The longest time that it stays for connections that could not be moved."""
_PAUSES_S = (0.05, 1.0)
"""The shortest and longest pause between two attempts to move connections: short at first, then longer."""


class Leftovers:
    """Moves remaining connections as they become movable, and reports their traffic to the new worker, which counts it
    against quotas."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._until = monotonic() + REMAIN_S
        self._reported = {proxy: _moved(proxy) for proxy in proxies.handed_over}

    async def run(self, channel: Channel | None) -> None:
        """Serve until no connection is left; without a channel, no more are moved."""
        pause, longest = _PAUSES_S
        try:
            while channel is not None and self._is_needed():
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
                await self._report(channel)
                await move_connections(self._proxies, channel)
        except FAILED as error:
            log.fault("handover.leftovers_stay", error)
        await self._wait_for_end()

    async def _wait_for_end(self) -> None:
        while True:
            if not self._is_needed():
                return
            await asyncio.sleep(_PAUSES_S[1])

    def _is_needed(self) -> bool:
        return self._proxies.has_clients() and monotonic() < self._until

    async def _report(self, channel: Channel) -> None:
        """Report traffic; the other worker answers which proxies are suspended or no longer exist."""
        moved = {proxy: _moved(proxy) for proxy in self._proxies.handed_over}
        used = [(proxy.record.id, count - self._reported.get(proxy, 0)) for proxy, count in moved.items()]
        async with asyncio.timeout(STEP_S):
            await channel.send("used", proxies=used)
            refused = (await expect(channel, "suspended"))["proxies"]
        self._reported = moved
        for id_ in refused:
            self._proxies.remove(id_)


def _moved(proxy: Proxy) -> int:
    return proxy.received + proxy.sent
