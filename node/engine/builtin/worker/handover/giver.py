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

    def __init__(self, services: list[Proxy], clients: Iterable[Client]) -> None:
        self.since = monotonic()
        self.services = services
        self.parcels: list[PackedConnection] = []
        for service in services:
            service.acceptors.hold()
        for client in clients:
            if len(self.parcels) < _CONNECTIONS and (packed := pack(client)) is not None:
                self.parcels.append(packed)

    async def send(self, channel: Channel) -> None:
        """Raises ClosedError."""
        for services in batches(self.services, MOST_FDS // MOST_PORTS):
            fds = [listener.fileno() for service in services for listener in service.acceptors.listeners]
            await channel.send("proxies", proxies=[_told(service) for service in services], fds=fds)
        for parcels in batches(self.parcels, _PER_FRAME):
            told = [{**each.state, "count": len(each.fds)} for each in parcels]
            await channel.send("connections", connections=told, fds=[fd for each in parcels for fd in each.fds])
        await channel.send("end", since=self.since)

    def go_on(self) -> None:
        for service in self.services:
            service.acceptors.go_on()
        for each in self.parcels:
            each.client.reactor.run(each, each.go_on)

    def let_go(self) -> None:
        for service in self.services:
            service.acceptors.let_go()
        for each in self.parcels:
            each.client.reactor.run(each, each.close)


async def give(proxies: Proxies, channel: Channel) -> bool:
    """Whether all that can be moved now has another owner; otherwise what it did not take goes on here."""
    try:
        async with asyncio.timeout(STEP_S):
            await channel.send("hello", format=FORMAT)
            await expect(channel, "welcome")
        while services := proxies.some(_PROXIES):
            await _deliver(proxies, channel, Bundle(services, _clients(services)))
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
        if not bundle.parcels:
            return
        await _deliver(proxies, channel, bundle)


async def _deliver(proxies: Proxies, channel: Channel, bundle: Bundle) -> None:
    try:
        async with asyncio.timeout(STEP_S):
            await bundle.send(channel)
            await expect(channel, "taken")
    except BaseException:
        bundle.go_on()
        raise
    bundle.let_go()
    proxies.leave(bundle.services)
    await channel.send("yours")


def _told(service: Proxy) -> dict[str, Any]:
    return {
        "record": fields_of(service.record),
        "listens": len(service.acceptors.listeners),
        "spent": asdict(service.account.book(service.received + service.sent, time())),
        "levels": service.rate_limit.levels if service.rate_limit is not None else None,
        "sessions": service.exit.sessions() if isinstance(service.exit, SessionExit) else [],
    }


def _clients(services: Iterable[Proxy]) -> list[Client]:
    return [client for service in services for client in service.open]


async def expect(channel: Channel, op: str) -> Message:
    """Raises ClosedError, ControlError."""
    message, _ = await channel.receive()
    if message.get("op") != op:
        raise ControlError(f"the other worker said {message.get('op')}")
    return message
