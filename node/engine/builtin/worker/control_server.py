"""The worker's side of the control socket."""

import asyncio
import os
import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)

from node.engine.builtin import log
from node.engine.builtin.frames import MAX_FDS, ControlError, FrameReader, Message, frame, peer
from node.engine.builtin.worker.commands import Commands

_READ = 262144
_BACKLOG = 16


class ControlServer:
    """Accepts connections from processes of the same user, and executes the commands of each in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, commands: Commands, listener: socket.socket) -> None:
        self.loop = loop
        self.commands = commands
        self._listener = listener
        self._connections: set[ControlConnection] = set()
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop serving. Later commands go unanswered, because an error could be misunderstood."""
        self.loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for control_connection in list(self._connections):
            control_connection.close()

    def forget(self, control_connection: "ControlConnection") -> None:
        self._connections.discard(control_connection)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                log.write("control.accept_failed", errno=error.errno)
            return
        _, uid = peer(connection)
        if uid != os.geteuid():
            log.write("control.foreign_user_refused", uid=uid)
            connection.close()
            return
        self._connections.add(ControlConnection(self, connection))


class ControlConnection:
    """A connection from an agent."""

    def __init__(self, control_server: ControlServer, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._server = control_server
        self._loop = control_server.loop
        self._commands = control_server.commands
        self._connection = connection
        self._frames = FrameReader()
        self._sockets: list[Socket] = []
        self._outbox = bytearray()
        self._loop.add_reader(connection.fileno(), self._read)

    def close(self) -> None:
        self._server.forget(self)
        fd = self._connection.fileno()
        if fd >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
            self._connection.close()
        for listener in self._sockets:
            listener.close()

    def _read(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._connection, _READ, MAX_FDS)
            self._sockets += [Socket(fileno=fd) for fd in fds]
            messages = self._frames.feed(data)
        except BlockingIOError:
            return
        except (OSError, ControlError) as error:
            log.fault("control.unreadable", error)
            self.close()
            return
        for message in messages:
            self._run(message)
        if not data:
            self.close()

    def _run(self, message: Message) -> None:
        count, number = message.get("fds", 0), message.get("id")
        sockets, self._sockets = self._sockets[:count], self._sockets[count:]
        self._commands.run(message, sockets, lambda answer: self._send({"id": number, **answer}))

    def _send(self, answer: Message) -> None:
        """Send an answer; does nothing if the agent is gone."""
        if self._connection.fileno() < 0:
            return
        if not self._outbox:
            self._loop.add_writer(self._connection.fileno(), self._write)
        self._outbox += frame(answer)

    def _write(self) -> None:
        try:
            sent = self._connection.send(self._outbox)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        del self._outbox[:sent]
        if not self._outbox:
            self._loop.remove_writer(self._connection.fileno())
