"""The node's connection to the broker, and its moves to other addresses.

A new connection is up before the old one is given up, and the node returns to earlier addresses if it loses new ones
before its master has confirmed them.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog

from node.agent.broker_connection import MOVE_TIMES, BrokerConnection, Connect, MoveTimes, first_up
from node.agent.kept_moves import NOT_WRITTEN, Decide, KeptMoves
from node.state.broker_moves import (
    BrokerConfig,
    NodeMoves,
    arrived,
    asked,
    asked_by_hand,
    confirmed,
    fell_back,
    gave_up,
    refused,
    report_of,
)
from shared.bus.addresses import BrokerAddresses
from shared.bus.client import Bus
from shared.bus.envelopes import Incoming
from shared.messages.bodies import BrokerReport, ConfigBody
from shared.tasks import wait_for_event

log = structlog.get_logger()

OCCUPIED_WAIT_S = 1.0
"""Time between two tries to leave the queue to a new connection."""


class NodeLinks:
    """Keeps the node connected to one broker, and moves it to others. `run` does the work; the other methods leave it
    notes. The owner sets `handle` and `on_change`."""

    def __init__(
        self,
        kept: KeptMoves,
        *,
        connect: Connect,
        on_up: Callable[[], Awaitable[None]],
        times: MoveTimes = MOVE_TIMES,
    ) -> None:
        """`on_up` is called whenever the connection in use has come up, and after a move."""
        self._kept, self._connect, self._on_up, self._times = kept, connect, on_up, times
        self._handling = asyncio.Lock()
        """Held while a message is handled: during a move two connections deliver some."""
        self._woken = asyncio.Event()
        kept.on_change = self._woken.set
        self._group: asyncio.TaskGroup | None = None
        self.handle: Callable[[Incoming, bool], Awaitable[None]]
        """Handles a message; the flag is whether it came over the connection in use."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when a report is due."""
        self._current = self._link(kept.now.current)

    @property
    def bus(self) -> Bus:
        """The connection in use."""
        return self._current.bus

    @property
    def moves(self) -> NodeMoves:
        """The addresses in use, and those that are kept beside."""
        return self._kept.now

    @property
    def report(self) -> BrokerReport:
        """The member `broker` of reports."""
        return report_of(self.moves, self.bus.url.get_secret_value())

    async def take(self, body: ConfigBody) -> None:
        """Take a request of the master, which is on disk when this returns. A report follows in any case."""
        user, password = self.moves.current.addresses.login
        wanted = BrokerConfig(body.rev, body.addresses(user, password))
        await self._kept.take(lambda moves: asked(moves, wanted), body.rev)
        self.on_change()

    async def take_by_hand(self, addresses: BrokerAddresses, rev: int | None) -> None:
        """Take a request of the node's operator, which is on disk when this returns."""
        await self._kept.take(
            lambda moves: asked_by_hand(moves, addresses, rev), self.moves.current.rev if rev is None else rev
        )
        self.on_change()

    async def refuse(self, rev: int, reason: str) -> None:
        """Report that a request cannot be read."""
        await self._kept.note(lambda moves: refused(moves, rev, reason))
        self.on_change()

    async def confirm(self, rev: int) -> None:
        """Take the master's confirmation, which has come over the connection in use."""
        if await self._kept.note(lambda moves: confirmed(moves, rev)):
            log.info("broker.confirmed", rev=rev)
            self.on_change()

    async def run(self) -> None:
        """Stay connected, and move when that is wanted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._open(self._current)
            while True:
                await self._turn()

    async def _turn(self) -> None:
        """Take the next step, or wait until there may be one."""
        wanted, patience_s = self.moves.next, self._patience_left()
        if wanted is not None:
            await self._move(wanted)
        elif patience_s <= 0:
            await self._fall_back()
        else:
            await self._wait(patience_s)

    def _patience_left(self) -> float:
        """Compute the seconds until earlier addresses are tried; infinite if there are none."""
        return self._current.endurable_for(self._times) if self.moves.previous else math.inf

    async def _move(self, wanted: BrokerConfig) -> None:
        """Connect beside, and use the new connection once it is up."""
        log.info("broker.move_started", rev=wanted.rev, urls=wanted.addresses.bare_urls)
        link = self._open(self._link(wanted))
        reason = await self._attempt(link)
        if not reason and not await self._switch(link, lambda moves: arrived(moves, wanted), must_keep=True):
            reason = NOT_WRITTEN
        if reason:
            await self._close([link])
            await self.bus.resume()
            if await self._kept.note(lambda moves: gave_up(moves, wanted, reason)):
                log.warning("broker.move_failed", rev=wanted.rev, reason=reason)
        self.on_change()

    async def _attempt(self, link: BrokerConnection) -> str:
        """Wait until a new connection is up; return the reason if that fails."""
        limit = time.monotonic() + self._times.trial_s
        while not link.is_up:
            left = limit - time.monotonic()
            if self.moves.next != link.config:
                return "another move was asked for"
            if link.is_hopeless or left <= 0:
                return link.reason
            if link.bus.state == "occupied":
                await self._make_way(link)
            else:
                await self._wait(left)
        return ""

    async def _make_way(self, link: BrokerConnection) -> None:
        """Leave the queue to a new connection that finds it occupied: by the node's own consumer, if both connections
        are to the same broker. If it is by another one, consume again."""
        failures, limit = link.bus.failures, time.monotonic() + self._times.make_way_s
        await self.bus.pause()
        link.bus.hurry()
        while not link.is_up and link.bus.failures is failures and time.monotonic() < limit:
            await self._wait(limit - time.monotonic())
        if not link.is_up:
            await self.bus.resume()
            await asyncio.sleep(OCCUPIED_WAIT_S)

    async def _fall_back(self) -> None:
        """Try earlier addresses beside the current ones, until some are usable or another move is asked for."""
        lost = self._current
        log.warning("broker.falling_back", rev=self.moves.current.rev, reason=lost.reason)
        links = [self._open(self._link(config)) for config in self.moves.previous]
        try:
            while not (up := first_up(links)) and self.moves.next is None and self._patience_left() <= 0:
                await self._wait(math.inf)
            if up is not None and self._patience_left() <= 0:
                links.remove(up)
                await self._switch(up, lambda moves: fell_back(moves, up.config, lost.reason))
                self.on_change()
        finally:
            await self._close(links)

    async def _switch(self, link: BrokerConnection, decide: Decide, *, must_keep: bool = False) -> bool:
        """Use this connection from now on, once that is on disk; False if it cannot be."""
        if not await self._kept.note(decide, must_keep=must_keep):
            return False
        old, self._current = self._current, link
        link.heard_at = time.monotonic()
        log.info("broker.moved", rev=self.moves.current.rev, url=self.report.url)
        await self._on_up()
        await asyncio.sleep(self._times.linger_s)
        await self._close([old])
        return True

    async def _wait(self, seconds: float) -> None:
        """Wait for a change of a connection or of the moves."""
        await (self._woken.wait() if math.isinf(seconds) else wait_for_event(self._woken, seconds))
        self._woken.clear()

    def _link(self, config: BrokerConfig) -> BrokerConnection:
        """Prepare a connection, which is not open yet."""

        async def handle(message: Incoming) -> None:
            async with self._handling:
                link.heard_at = time.monotonic()
                self._woken.set()
                await self.handle(message, link is self._current)

        async def came_up() -> None:
            if link is self._current:
                await self._on_up()

        link = BrokerConnection(config, self._connect(config.addresses, handle, came_up))
        return link

    def _open(self, link: BrokerConnection) -> BrokerConnection:
        """Keep a connection up until it is closed."""
        assert self._group is not None  # noqa: S101 (narrowing)
        link.bus.on_change = lambda: self._changed(link)
        link.task = self._group.create_task(link.bus.run())
        return link

    async def _close(self, links: Iterable[BrokerConnection]) -> None:
        """Close connections, between two messages: one that is being handled is finished."""
        async with self._handling:
            tasks = [link.task for link in links if link.task is not None]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def _changed(self, link: BrokerConnection) -> None:
        link.note_state()
        self._woken.set()
