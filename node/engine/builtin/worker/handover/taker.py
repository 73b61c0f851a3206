"""The new worker's part of a handover; see `giver`."""

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
"""The time between a dying process's sockets being closed and its end."""
_STEP_S = 4.0
"""Time for the other worker to send its next message."""


class HandoverError(Exception):
    """The handover failed: the rest stayed with the giver, or was lost with a giver that died. The text is the
    reason."""


class Taker:
    """Takes over from one giver. The longest pause is that of a connection between being paused there and continuing
    here."""

    def __init__(self, reactor: Reactor, proxies: Proxies, channel: Channel, giver: int | None) -> None:
        """`giver` is a pidfd of the other worker, which is closed at the end; None if that worker is already dead."""
        self._proxy_count = self._connection_count = 0
        self._longest_pause_s = 0.0
        self._reactor = reactor
        self._proxies = proxies
        self._channel = channel
        self._giver = giver
        self._parts: list[tuple[Message, list[int]]] = []
        self._no_bundle = asyncio.Event()
        self._no_bundle.set()

    @property
    def _has_bundle(self) -> bool:
        """Whether a complete bundle waits for the other worker's `committed`, or its death."""
        return not self._no_bundle.is_set()

    async def take_all(self) -> dict[str, Any]:
        """Take all that can be moved at once, and return a summary. Raises HandoverError."""
        await self._receive_until("left")
        return {
            "proxies": self._proxy_count,
            "connections": self._connection_count,
            "longest_pause_s": round(self._longest_pause_s, 4),
        }

    async def take_rest(self) -> None:
        """Take what can be moved later, until the other worker has ended."""
        with suppress(HandoverError):
            await self._receive_until("")

    async def until_no_bundle(self) -> None:
        """Wait until no bundle may belong to this worker already; an incomplete one stays with the other worker."""
        while self._has_bundle:
            await self._no_bundle.wait()

    def close(self) -> None:
        self._discard()
        self._channel.close()
        if self._giver is not None:
            os.close(self._giver)
            self._giver = None

    async def _receive_until(self, last: str) -> None:
        try:
            while True:
                # A complete bundle may belong to this worker already, so the wait for it has no limit.
                async with asyncio.timeout(_STEP_S if last and not self._has_bundle else None):
                    message, fds = await self._channel.receive()
                if message["op"] == last:
                    return
                await self._handle(message, fds)
        except ClosedError as error:
            if self._has_bundle and await self._giver_dies():
                self._accept()
            raise HandoverError("the other worker is gone") from error
        except TimeoutError as error:
            raise HandoverError("the other worker does not continue") from error
        except (ControlError, KeyError, ValueError) as error:
            log.fault("handover.unreadable", error)
            raise HandoverError("the other worker's message is unreadable") from error
        finally:
            self._discard()

    async def _handle(self, message: Message, fds: list[int]) -> None:
        match message:
            case {"op": "hello", "format": format_} if format_ == FORMAT:
                self._take_certificate(message.get("certificate"))
                await self._reply("welcome")
            case {"op": "proxies" | "connections"}:
                self._parts.append((message, fds))
            case {"op": "end"}:
                self._parts.append((message, fds))
                self._no_bundle.clear()
                await self._reply("taken")
            case {"op": "committed"} if self._has_bundle:
                self._accept()
            case {"op": "used"}:
                await self._reply("suspended", proxies=self._add_spent(message["proxies"]))
            case {"op": "abort"}:
                raise HandoverError("the other worker aborted the handover")
            case _:
                raise ControlError("the other worker uses another protocol")

    def _take_certificate(self, pem: object) -> None:
        """Serve clients that speak TLS as the other worker does, unless the agent has sent a certificate already."""
        if isinstance(pem, str) and self._proxies.certificate is None:
            try:
                self._proxies.use_certificate(pem)
            except ValueError as error:
                log.fault("handover.certificate_lost", error)

    def _add_spent(self, used: list[list[int]]) -> list[int]:
        """Add traffic that the other worker has moved; returns the proxies that are suspended or unknown."""
        now, suspended = time(), list[int]()
        for id_, count in used:
            proxy = self._proxies.get(id_)
            if proxy is not None and count:
                proxy.add_spent(count, now)
                proxy.apply_limits(now)
            if proxy is None or proxy.suspension is not None:
                suspended.append(id_)
        return suspended

    async def _reply(self, op: str, **fields: Any) -> None:
        """Answer; a closed channel is detected by the next receive, after the messages that were sent before."""
        with suppress(ClosedError):
            await self._channel.send(op, **fields)

    async def _giver_dies(self) -> bool:
        """Whether the giver dies. A giver that lives has only closed its socket, and keeps its bundle."""
        deadline = monotonic() + _DEATH_S
        while self._giver is not None and not select.select([self._giver], (), (), 0)[0]:
            if monotonic() > deadline:
                return False
            await asyncio.sleep(0.001)
        return True

    def _accept(self) -> None:
        """Continue all parts of the bundle here."""
        parts, self._parts = self._parts, []
        self._no_bundle.set()
        for message, fds in parts:
            left = iter(fds)
            for fields in message.get("proxies", ()):
                self._take_proxy(fields, left)
            for state in message.get("connections", ()):
                self._take_connection(state, [next(left) for _ in range(state["count"])])
        self._reactor.sweep()
        self._longest_pause_s = max(self._longest_pause_s, monotonic() - parts[-1][0]["since"])

    def _take_proxy(self, fields: dict[str, Any], fds: Iterator[int]) -> None:
        """Take a proxy. The agent notices one that fails, and starts it again."""
        listeners = [Socket(fileno=next(fds)) for _ in range(fields["listens"])]
        try:
            if listeners:
                record, spent = read_record(fields["record"]), QuotaUsage(**fields["spent"])
                sessions, levels = read_sessions(fields["sessions"]), read_levels(fields.get("levels"))
                self._proxies.inherit(record, listeners, spent, sessions, levels)
                self._proxy_count += 1
        except (OSError, ValueError) as error:
            log.fault("handover.proxy_lost", error)
            for listener in listeners:
                listener.close()

    def _take_connection(self, state: dict[str, Any], fds: list[int]) -> None:
        """Take a connection, or close it if its proxy was removed meanwhile."""
        proxy = self._proxies.get(state["proxy"])
        if proxy is None:
            _close_all(fds)
            return
        try:
            unpack(proxy, state, fds)
            self._connection_count += 1
        except Exception as error:  # noqa: BLE001 (a fault in one connection ends that connection only)
            log.fault("handover.connection_lost", error)

    def _discard(self) -> None:
        """Close descriptors that do not belong to this worker; the other worker's copies are not affected."""
        parts, self._parts = self._parts, []
        self._no_bundle.set()
        for _, fds in parts:
            _close_all(fds)


def read_sessions(data: object) -> list[tuple[str, str]]:
    """Parse (session, address) pairs, which are lists in JSON. Raises ValueError."""
    if not isinstance(data, list):
        raise ValueError("sessions are not a list")
    return [_pair(each) for each in cast("list[object]", data)]


def _pair(data: object) -> tuple[str, str]:
    match data:
        case [str(session), str(address)]:
            return session, address
        case _:
            raise ValueError("sessions are not pairs of strings")


def read_levels(data: object) -> Levels | None:
    """Parse the level of each direction; None if no bandwidth is limited. Raises ValueError."""
    match data:
        case None:
            return None
        case [int() | float() as up, int() | float() as down]:
            return float(up), float(down)
        case _:
            raise ValueError("levels are not two numbers")


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
