"""The new worker's part of a handover; see `giving`."""

import asyncio
import os
import select
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, time
from typing import Any, cast

from node.engine.builtin import log
from node.engine.builtin.frames import ControlError, Message
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.quota_periods import QuotaUsage
from node.engine.builtin.policy.records import read_record
from node.engine.builtin.sessions.rate_limit import Levels
from node.engine.builtin.worker.handover.channel import Channel, ClosedError
from node.engine.builtin.worker.handover.connections import unpack
from node.engine.builtin.worker.handover.giver import FORMAT
from node.engine.builtin.worker.proxies import Proxies

_DEATH_S = 1.0
"""Between the end of a dying process's sockets and its own."""
_STEP_S = 4.0
"""For the other worker to go on."""


class HandoverError(Exception):
    """The rest stayed where it was, or was lost with a giver that died. Says why, in a few words."""


class Taker:
    """One handover; the longest pause is that of a connection, from its being put on hold to its going on here."""

    def __init__(self, reactor: Reactor, proxies: Proxies, channel: Channel, giver: int | None) -> None:
        """`giver` is a pidfd of the other worker, closed at the end; None when it is dead already."""
        self._proxies = self._connections = 0
        self._longest_pause_s = 0.0
        self._reactor = reactor
        self._mine = proxies
        self._channel = channel
        self._giver = giver
        self._parts: list[tuple[Message, list[int]]] = []
        self._between = asyncio.Event()
        self._between.set()

    @property
    def _complete(self) -> bool:
        """Whether there is a whole bundle of which only the other worker, or its death, can tell whose it is."""
        return not self._between.is_set()

    async def until_left(self) -> dict[str, Any]:
        """What is here when all that could be moved at once is here. Raises HandoverError."""
        await self._follow("left")
        return {
            "proxies": self._proxies,
            "connections": self._connections,
            "longest_pause_s": round(self._longest_pause_s, 4),
        }

    async def rest(self) -> None:
        """What can be moved later, until the other worker has ended."""
        with suppress(HandoverError):
            await self._follow("")

    async def between_bundles(self) -> None:
        """Waits until no bundle may be this worker's already; what is not complete stays with the other one."""
        while self._complete:
            await self._between.wait()

    def close(self) -> None:
        self._discard()
        self._channel.close()
        if self._giver is not None:
            os.close(self._giver)
            self._giver = None

    async def _follow(self, last: str) -> None:
        try:
            while True:
                # A complete bundle may be this worker's already.
                async with asyncio.timeout(_STEP_S if last and not self._complete else None):
                    message, fds = await self._channel.receive()
                if message["op"] == last:
                    return
                await self._hear(message, fds)
        except ClosedError as error:
            if self._complete and await self._giver_dies():
                self._accept()
            raise HandoverError("the other worker is gone") from error
        except TimeoutError as error:
            raise HandoverError("the other worker does not go on") from error
        except (ControlError, KeyError, ValueError) as error:
            log.fault("handover.unreadable", error)
            raise HandoverError("what the other worker says cannot be read") from error
        finally:
            self._discard()

    async def _hear(self, message: Message, fds: list[int]) -> None:
        match message:
            case {"op": "hello", "format": format_} if format_ == FORMAT:
                await self._answer("welcome")
            case {"op": "proxies" | "connections"}:
                self._parts.append((message, fds))
            case {"op": "end"}:
                self._parts.append((message, fds))
                self._between.clear()
                await self._answer("taken")
            case {"op": "yours"} if self._complete:
                self._accept()
            case {"op": "used"}:
                await self._answer("held", proxies=self._spend(message["proxies"]))
            case {"op": "abort"}:
                raise HandoverError("the other worker broke it off")
            case _:
                raise ControlError("the other worker speaks another language")

    def _spend(self, used: list[list[int]]) -> list[int]:
        """Counts what the other worker has moved meanwhile; tells which proxies serve nobody any more."""
        now, held = time(), list[int]()
        for id_, count in used:
            proxy = self._mine.get(id_)
            if proxy is not None and count:
                proxy.add_spent(count, now)
                proxy.apply_limits(now)
            if proxy is None or proxy.suspension is not None:
                held.append(id_)
        return held

    async def _answer(self, op: str, **fields: Any) -> None:
        """When nobody hears it, that shows at the next receive, behind what was said before."""
        with suppress(ClosedError):
            await self._channel.send(op, **fields)

    async def _giver_dies(self) -> bool:
        """Whether it is dead: one that lives has only closed its socket and keeps what it had."""
        deadline = monotonic() + _DEATH_S
        while self._giver is not None and not select.select([self._giver], (), (), 0)[0]:
            if monotonic() > deadline:
                return False
            await asyncio.sleep(0.001)
        return True

    def _accept(self) -> None:
        """All parts of the bundle go on here."""
        parts, self._parts = self._parts, []
        self._between.set()
        for message, fds in parts:
            left = iter(fds)
            for told in message.get("proxies", ()):
                self._take_proxy(told, left)
            for state in message.get("connections", ()):
                self._take_connection(state, [next(left) for _ in range(state["count"])])
        self._reactor.sweep()
        self._longest_pause_s = max(self._longest_pause_s, monotonic() - parts[-1][0]["since"])

    def _take_proxy(self, told: dict[str, Any], fds: Iterator[int]) -> None:
        """One that cannot be taken is missed by the agent, which starts it anew."""
        listeners = [Socket(fileno=next(fds)) for _ in range(told["listens"])]
        try:
            if listeners:
                record, spent = read_record(told["record"]), QuotaUsage(**told["spent"])
                sessions, levels = read_sessions(told["sessions"]), read_levels(told.get("levels"))
                self._mine.inherit(record, listeners, spent, sessions, levels)
                self._proxies += 1
        except (OSError, ValueError) as error:
            log.fault("handover.proxy_lost", error)
            for listener in listeners:
                listener.close()

    def _take_connection(self, state: dict[str, Any], fds: list[int]) -> None:
        """Of a proxy that was removed meanwhile it is closed."""
        proxy = self._mine.get(state["proxy"])
        if proxy is None:
            _close_all(fds)
            return
        try:
            unpack(proxy, state, fds)
            self._connections += 1
        except Exception as error:  # noqa: BLE001 (a fault in one connection ends that connection only)
            log.fault("handover.connection_lost", error)

    def _discard(self) -> None:
        """What is not this worker's is closed, which disturbs nobody who has it too."""
        parts, self._parts = self._parts, []
        self._between.set()
        for _, fds in parts:
            _close_all(fds)


def read_sessions(told: object) -> list[tuple[str, str]]:
    """Pairs (session, address), which JSON carries as lists. Raises ValueError for anything else."""
    if not isinstance(told, list):
        raise ValueError("sessions are no list")
    return [_pair(each) for each in cast("list[object]", told)]


def _pair(told: object) -> tuple[str, str]:
    match told:
        case [str(session), str(address)]:
            return session, address
        case _:
            raise ValueError("sessions are no pairs of texts")


def read_levels(told: object) -> Levels | None:
    """A level in each direction, None where no bandwidth is limited. Raises ValueError for anything else."""
    match told:
        case None:
            return None
        case [int() | float() as up, int() | float() as down]:
            return float(up), float(down)
        case _:
            raise ValueError("levels are no two numbers")


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
