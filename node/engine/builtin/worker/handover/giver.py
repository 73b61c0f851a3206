"""The old worker's part of a handover: it gives away its proxies and connections in bundles.

A bundle is paused, sent, acknowledged with `taken`, closed here, and released to the other worker with `committed`;
only then does that one use it. Whichever process dies, at most a bundle in transit is lost: a taker that dies before
`taken` costs nothing, because the giver resumes the bundle, and the bundle of a giver that dies after `taken` is
inherited.

The giver closes first, because a socket that is closed in one process while another has it open is not really closed:
the taker's epoll would still report its events, under a number that the taker's next connection may have by then
(epoll(7)).
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from time import monotonic, time
from typing import Any

from node.engine.builtin import log
from node.engine.builtin.frames import MAX_FDS, MAX_PORTS, ControlError, Message, batches
from node.engine.builtin.net.exits import SessionExit
from node.engine.builtin.policy.records import fields_of
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.worker.handover.channel import Channel, ClosedError
from node.engine.builtin.worker.handover.connections import PackedConnection, pack
from node.engine.builtin.worker.proxies import Proxies

FORMAT = 2
"""The version of the messages on the channel. A taker that does not know it refuses, and nothing happens."""
STEP_S = 2.0
"""Time for the other worker to take one bundle, whose connections wait meanwhile."""
_PROXIES = 50
_CONNECTIONS = 100
_PER_FRAME = 40
"""Connections per frame: at most six descriptors each, and two buffers of 64 KiB."""
FAILED = (ClosedError, ControlError, TimeoutError)


class Bundle:
    """Some proxies and connections, paused until it is decided which worker continues them."""

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
        for batch in batches(self.proxies, MAX_FDS // MAX_PORTS):
            fds = [listener.fileno() for proxy in batch for listener in proxy.acceptors.listeners]
            await channel.send("proxies", proxies=[_record_state(proxy) for proxy in batch], fds=fds)
        for batch in batches(self.packed, _PER_FRAME):
            states = [{**each.state, "count": len(each.fds)} for each in batch]
            await channel.send("connections", connections=states, fds=[fd for each in batch for fd in each.fds])
        await channel.send("end", since=self.since)

    def resume(self) -> None:
        """Continue the bundle here."""
        for proxy in self.proxies:
            proxy.acceptors.resume()
        for each in self.packed:
            each.client.reactor.run(each, each.resume)

    def release(self) -> None:
        """Close the bundle here, because the other worker has it."""
        for proxy in self.proxies:
            proxy.acceptors.release()
        for each in self.packed:
            each.client.reactor.run(each, each.close)


async def give(proxies: Proxies, channel: Channel) -> bool:
    """Give everything that can be moved now. False if the other worker did not take all of it; the rest continues
    here."""
    try:
        async with asyncio.timeout(STEP_S):
            await channel.send("hello", format=FORMAT, certificate=proxies.certificate)
            await expect(channel, "welcome")
        while batch := proxies.batch(_PROXIES):
            await _deliver(proxies, channel, Bundle(batch, _clients(batch)))
        await move_connections(proxies, channel)
        await channel.send("left")
    except FAILED as error:
        log.fault("handover.failed", error)
        with suppress(*FAILED):
            async with asyncio.timeout(STEP_S):
                await channel.send("abort")
        # What was not taken continues; connections of handed-over proxies that have ended are forgotten.
        proxies.has_clients()
        return False
    return True


async def move_connections(proxies: Proxies, channel: Channel) -> None:
    """Move the connections of handed-over proxies that can be moved now."""
    while True:
        bundle = Bundle([], _clients(proxies.handed_over))
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
    proxies.hand_over(bundle.proxies)
    await channel.send("committed")


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
    """Receive a message and check that it is `op`. Raises ClosedError, ControlError."""
    message, _ = await channel.receive()
    if message.get("op") != op:
        raise ControlError(f"the other worker answered {message.get('op')}")
    return message
