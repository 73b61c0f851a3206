"""What a worker that was taken over does until its last connection has ended."""

import asyncio
from time import monotonic

from node.engine.builtin import log
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.worker.handover.channel import Channel
from node.engine.builtin.worker.handover.giver import FAILED, STEP_S, expect, move
from node.engine.builtin.worker.proxies import Proxies

REMAIN_S = 24 * 3600.0
"""Longest time for which it stays with the connections that could not be moved."""
_LOOK_S = (0.05, 1.0)
"""How often it looks for connections that can be moved by now: soon at first, then less often."""


class Leftovers:
    """Connections that can be moved by and by are; what the others move is told, for it counts against quotas."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._until = monotonic() + REMAIN_S
        self._reported = {proxy: _moved(proxy) for proxy in proxies.left}

    async def last(self, channel: Channel | None) -> None:
        """Until there is none left. Without the other worker it is just that."""
        pause, most = _LOOK_S
        try:
            while channel is not None and self._is_needed():
                await asyncio.sleep(pause)
                pause = min(2 * pause, most)
                await self._report(channel)
                await move(self._proxies, channel)
        except FAILED as error:
            log.fault("handover.alone", error)
        await self._alone()

    async def _alone(self) -> None:
        while True:
            if not self._is_needed():
                return
            await asyncio.sleep(_LOOK_S[1])

    def _is_needed(self) -> bool:
        return self._proxies.has_clients() and monotonic() < self._until

    async def _report(self, channel: Channel) -> None:
        """The other worker answers whose quota is spent, or who is not there any more."""
        moved = {proxy: _moved(proxy) for proxy in self._proxies.left}
        used = [(proxy.record.id, count - self._reported.get(proxy, 0)) for proxy, count in moved.items()]
        async with asyncio.timeout(STEP_S):
            await channel.send("used", proxies=used)
            refused = (await expect(channel, "held"))["proxies"]
        self._reported = moved
        for id_ in refused:
            self._proxies.remove(id_)


def _moved(proxy: Proxy) -> int:
    return proxy.received + proxy.sent
