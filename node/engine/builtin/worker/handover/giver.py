"""The old worker's part of a handover: gives away what it runs, bundle by bundle, and ends what cannot be moved.

A bundle is put on hold, sent, acknowledged with `taken`, closed here, and belongs to the other worker with `yours`;
only then does that one touch it. So whoever dies when, at most what it held is lost: before `taken` a dead taker costs
nothing, for the giver goes on with the bundle, and a dead giver's bundle is inherited.

It is closed here first, for what one process closes while another has it open is not closed: the taker's epoll would
still tell of it, under a number that the taker's next connection has by then (epoll(7)).
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from time import monotonic, time
from typing import Any

from node.engine.builtin import log
from node.engine.builtin.frames import MOST_FDS, MOST_PORTS, ControlError, Message, batches
from node.engine.builtin.net.exits import SessionExit
from node.engine.builtin.policy.records import fields_of
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.worker.handover.channel import Channel, ClosedError
from node.engine.builtin.worker.handover.connections import PackedConnection, pack
from node.engine.builtin.worker.proxies import Proxies

FORMAT = 1
"""Of what is said on the channel; a taker of another age refuses it, and nothing happens."""
STEP_S = 2.0
"""For the other worker to take one bundle: its connections wait meanwhile."""
_PROXIES = 50
_CONNECTIONS = 100
_PER_FRAME = 40
"""Connections: at most six descriptors each, and two buffers of 64 KiB."""
FAILED = (ClosedError, ControlError, TimeoutError)


class Bundle:
    """Some proxies and some connections, on hold until it is known whose they are."""

    def __init__(self, proxies: list[Proxy], clients: Iterable[Client]) -> None:
        self.since = monotonic()
        self.proxies = proxies
        self.packed: list[PackedConnection] = []
        for proxy in proxies:
            proxy.acceptors.pause()
        for client in clients:
            if len(self.packed) < _CONNECTIONS and (connection := pack(client)) is not None:
                self.packed.append(connection)

    async def send(self, channel: Channel) -> None:
        """Raises ClosedError."""
        for batch in batches(self.proxies, MOST_FDS // MOST_PORTS):
            fds = [listener.fileno() for proxy in batch for listener in proxy.acceptors.listeners]
            await channel.send("proxies", proxies=[_record_state(proxy) for proxy in batch], fds=fds)
        for batch in batches(self.packed, _PER_FRAME):
            states = [{**each.state, "count": len(each.fds)} for each in batch]
            await channel.send("connections", connections=states, fds=[fd for each in batch for fd in each.fds])
        await channel.send("end", since=self.since)

    def resume(self) -> None:
        for proxy in self.proxies:
            proxy.acceptors.resume()
        for each in self.packed:
            each.client.reactor.run(each, each.resume)

    def release(self) -> None:
        for proxy in self.proxies:
            proxy.acceptors.release()
        for each in self.packed:
            each.client.reactor.run(each, each.close)


async def give(proxies: Proxies, channel: Channel) -> bool:
    """Whether all that can be moved now has another owner; otherwise what it did not take goes on here."""
    try:
        async with asyncio.timeout(STEP_S):
            await channel.send("hello", format=FORMAT)
            await expect(channel, "welcome")
        while batch := proxies.some(_PROXIES):
            await _deliver(proxies, channel, Bundle(batch, _clients(batch)))
        await move(proxies, channel)
        await channel.send("left")
    except FAILED as error:
        log.fault("handover.failed", error)
        with suppress(*FAILED):
            async with asyncio.timeout(STEP_S):
                await channel.send("abort")
        # What nobody took goes on; of what somebody took, this worker forgets what has ended.
        proxies.has_clients()
        return False
    return True


async def move(proxies: Proxies, channel: Channel) -> None:
    """Every connection that can be moved now."""
    while True:
        bundle = Bundle([], _clients(proxies.left))
        if not bundle.packed:
            return
        await _deliver(proxies, channel, bundle)


async def _deliver(proxies: Proxies, channel: Channel, bundle: Bundle) -> None:
    try:
        async with asyncio.timeout(STEP_S):
            await bundle.send(channel)
            await expect(channel, "taken")
    except BaseException:
        bundle.resume()
        raise
    bundle.release()
    proxies.leave(bundle.proxies)
    await channel.send("yours")


def _record_state(proxy: Proxy) -> dict[str, Any]:
    return {
        "record": fields_of(proxy.record),
        "listens": len(proxy.acceptors.listeners),
        "spent": asdict(proxy.account.book(proxy.received + proxy.sent, time())),
        "levels": proxy.rate_limit.levels if proxy.rate_limit is not None else None,
        "sessions": proxy.exit.sessions() if isinstance(proxy.exit, SessionExit) else [],
    }


def _clients(proxies: Iterable[Proxy]) -> list[Client]:
    return [client for proxy in proxies for client in proxy.open]


async def expect(channel: Channel, op: str) -> Message:
    """Raises ClosedError, ControlError."""
    message, _ = await channel.receive()
    if message.get("op") != op:
        raise ControlError(f"the other worker said {message.get('op')}")
    return message
