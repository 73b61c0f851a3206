"""A worker's side of the control socket."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import cast

from node.engine.builtin import journal
from node.engine.builtin.control import PROTOCOL, ControlError, FrameReader, Message, frame, peer
from node.engine.builtin.guard import networks
from node.engine.builtin.proxies import Proxies
from node.engine.builtin.reactor import Reactor
from node.engine.builtin.records import read_record
from node.engine.builtin.sentry import Sentry

_READ = 65536
_FDS = 64
_BACKLOG = 16


class Desk:
    """Takes orders from every process of the same user that connects; answers them in their order."""

    def __init__(
        self, reactor: Reactor, proxies: Proxies, sentry: Sentry, listener: socket.socket, halt: Callable[[], None]
    ) -> None:
        self.reactor = reactor
        self.proxies = proxies
        self.sentry = sentry
        self.halt = halt
        self._listener = listener
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        reactor.loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        self.reactor.loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                journal.write("control.accept_failed", errno=error.errno)
            return
        _, uid = peer(connection)
        if uid != os.geteuid():
            journal.write("control.stranger_refused", uid=uid)
            connection.close()
            return
        Visitor(self, connection)


class Visitor:
    """One connection of an agent."""

    def __init__(self, desk: Desk, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._desk = desk
        self._loop: asyncio.AbstractEventLoop = desk.reactor.loop
        self._connection = connection
        self._frames = FrameReader()
        self._sockets: list[socket.socket] = []
        self._outbox = bytearray()
        self._loop.add_reader(connection.fileno(), self._read)

    def _read(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._connection, _READ, _FDS)
            self._sockets += [socket.socket(fileno=fd) for fd in fds]
            messages = self._frames.feed(data)
        except BlockingIOError:
            return
        except (OSError, ControlError) as error:
            journal.fault("control.unreadable", error)
            self._close()
            return
        for message in messages:
            self._send(self._answer(message))
        if not data:
            self._close()

    def _send(self, answer: Message) -> None:
        if not self._outbox:
            self._loop.add_writer(self._connection.fileno(), self._write)
        self._outbox += frame(answer)

    def _write(self) -> None:
        try:
            sent = self._connection.send(self._outbox)
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        del self._outbox[:sent]
        if not self._outbox:
            self._loop.remove_writer(self._connection.fileno())

    def _close(self) -> None:
        fd = self._connection.fileno()
        if fd >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
            self._connection.close()
        for listener in self._sockets:
            listener.close()

    def _answer(self, message: Message) -> Message:
        """Never raises: an order that cannot be followed is answered with an error of a few words."""
        try:
            return {"id": message.get("id"), "result": self._obey(message)}
        except ValueError as error:
            return {"id": message.get("id"), "error": str(error)}
        except OSError as error:
            return {"id": message.get("id"), "error": os.strerror(error.errno or 0)}
        except Exception as error:  # noqa: BLE001 (a fault in one order must not end every proxy of this worker)
            journal.fault("control.fault", error)
            return {"id": message.get("id"), "error": f"a fault in the worker ({type(error).__name__})"}

    def _obey(self, message: Message) -> object:
        proxies, result = self._desk.proxies, None
        listener = self._sockets.pop(0) if message.get("fds") else None
        match message:
            case {"op": "put"}:
                result = self._put(message.get("record"), listener)
            case {"op": "remove", "proxy_id": int(proxy_id)}:
                proxies.remove(proxy_id)
            case {"op": "list"}:
                result = {"protocol": PROTOCOL, "proxies": proxies.listening()}
            case {"op": "stats"}:
                result = {"faults": self._desk.reactor.faults, "proxies": proxies.counters()}
            case {"op": "configure"}:
                self._desk.sentry.open(networks(cast("list[str]", message.get("allow_destinations", []))))
            case {"op": "conditions"}:
                result = proxies.conditions()
            case {"op": "usage", "since": int(since)}:
                result = self._usage(since)
            case {"op": "taken"}:
                result = self._taken(cast("list[list[int]]", message.get("lives", [])))
            case {"op": "halt"}:
                self._loop.call_soon(self._desk.halt)
            case _:
                raise ValueError("the order is not known")
        return result

    def _usage(self, since: int) -> object:
        reached, lines = self._desk.proxies.books.ledger.told(since)
        return {"since": reached, "lines": [line.decode() for line in lines]}

    def _taken(self, lives: list[list[int]]) -> object:
        """Those that are not told again; each life is [proxy, epoch, received, sent, connections]."""
        ledger = self._desk.proxies.books.ledger
        return [
            [proxy, epoch]
            for proxy, epoch, received, sent, connections in lives
            if ledger.take((proxy, epoch), (received, sent, connections))
        ]

    def _put(self, told: object, listener: socket.socket | None) -> bool:
        try:
            if not isinstance(told, dict):
                raise ValueError("there is no record")
            return self._desk.proxies.put(read_record(cast("dict[str, object]", told)), listener)
        except BaseException:
            if listener is not None:
                listener.close()
            raise
