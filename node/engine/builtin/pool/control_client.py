"""An agent's connection to a worker: commands out, answers in, any number in progress at once."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from node.engine.builtin.frames import ControlError, FrameReader, Message, frame, peer

_READ = 262144


class LostError(Exception):
    """The worker has closed the connection."""


class UnansweredError(Exception):
    """The worker did not answer in time."""


class RefusedError(Exception):
    """The worker answered with an error, which is the text."""


class ControlClient:
    """Needs no task of its own: it runs in callbacks of the event loop.

    `heard` is called whenever an answer has arrived, `lost` once, when the connection is closed by the worker.
    """

    def __init__(self, connection: socket.socket, *, heard: Callable[[], None], lost: Callable[[], None]) -> None:
        connection.setblocking(False)
        self.pid, self.uid = peer(connection)
        self._connection = connection
        self._heard = heard
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader()
        self._next_id = 0
        self._last = 0, 0.0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._outbox: deque[tuple[memoryview, list[int]]] = deque()
        self._loop.add_reader(connection.fileno(), self._read)

    async def call(self, op: str, *, fds: Sequence[int] = (), timeout: float, **fields: Any) -> Any:
        """Send a command, and return the result. Raises LostError, UnansweredError, RefusedError.

        Commands are executed one after the other, so the time-out restarts with each answer to an earlier command: a
        worker that answers is at work.
        """
        if self._connection.fileno() < 0:
            raise LostError
        self._next_id += 1
        number = self._next_id
        answered = self._waiting[number] = self._loop.create_future()
        message: Message = {"id": number, "op": op, **fields}
        try:
            self._send(message | {"fds": len(fds)} if fds else message, fds)
            answer = await self._answer(number, answered, timeout)
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer.get("result")

    async def _answer(self, number: int, answered: asyncio.Future[Message], timeout: float) -> Message:
        """Wait for an answer; one that has arrived is not late, however busy this process was. Raises LostError,
        UnansweredError."""
        left, since = timeout, self._loop.time()
        while left > 0:
            done, _ = await asyncio.wait([answered], timeout=left)
            if done:
                return answered.result()
            heard, at = self._last
            left = (max(since, at) if heard < number else since) + timeout - self._loop.time()
        raise UnansweredError

    def close(self) -> None:
        """Close the connection; calls in progress raise LostError."""
        fd = self._connection.fileno()
        if fd < 0:
            return
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        self._connection.close()
        for _, fds in self._outbox:
            _close_all(fds)
        self._outbox.clear()
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(LostError())

    def _send(self, message: Message, fds: Sequence[int]) -> None:
        """Send or queue a message. Descriptors are duplicated, because the caller may close its own before the worker
        takes them.

        Raises RefusedError if this process has no descriptors left.
        """
        self._outbox.append((memoryview(frame(message)), _copies(fds)))
        if len(self._outbox) == 1:
            self._write()
            if self._outbox:
                self._loop.add_writer(self._connection.fileno(), self._write)

    def _write(self) -> None:
        try:
            while self._outbox:
                data, fds = self._outbox[0]
                sent = socket.send_fds(self._connection, [data], fds)
                _close_all(fds)
                self._outbox[0] = (data[sent:], [])
                if sent == len(data):
                    self._outbox.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._end()
            return
        self._loop.remove_writer(self._connection.fileno())

    def _read(self) -> None:
        try:
            data = self._connection.recv(_READ)
            messages = self._frames.feed(data)
        except BlockingIOError:
            return
        except (OSError, ControlError):
            self._end()
            return
        for message in messages:
            answered = self._waiting.get(message.get("id", 0))
            if answered is not None and not answered.done():
                answered.set_result(message)
        if messages:
            self._last = messages[-1].get("id", 0), self._loop.time()
            self._heard()
        if not data:
            self._end()

    def _end(self) -> None:
        self.close()
        self._lost()


def _copies(fds: Sequence[int]) -> list[int]:
    """Duplicate all descriptors or none. Raises RefusedError."""
    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(os.dup(fd))
    except OSError as error:
        _close_all(copies)
        raise RefusedError(f"the agent cannot pass a listener on: {os.strerror(error.errno or 0)}") from error
    return copies


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
