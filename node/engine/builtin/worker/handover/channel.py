"""The connection between two workers during a handover."""

import asyncio
import os
import socket
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from node.engine.builtin.frames import MAX_FDS, ControlError, FrameReader, Message, frame

_READ = 262144


class ClosedError(Exception):
    """The other end is gone."""


class Channel:
    """Sends and receives frames with at most 253 descriptors each; for one coroutine at a time."""

    def __init__(self, connection: Socket) -> None:
        self._connection = socket.socket(fileno=connection.detach())
        self._connection.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader()
        self._messages: deque[Message] = deque()
        self._fds: deque[int] = deque()

    async def send(self, op: str, *, fds: Sequence[int] = (), **fields: Any) -> None:
        """Raises ClosedError."""
        data = memoryview(frame({"op": op, "fds": len(fds), **fields}))
        while data:
            try:
                sent = socket.send_fds(self._connection, [data], fds)
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
                continue
            except OSError as error:
                raise ClosedError from error
            data, fds = data[sent:], ()

    async def receive(self) -> tuple[Message, list[int]]:
        """Receive a message and its descriptors, which then belong to the caller. Raises ClosedError, ControlError."""
        while not self._messages:
            try:
                data, fds, _, _ = socket.recv_fds(self._connection, _READ, MAX_FDS)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
                continue
            except OSError as error:
                raise ClosedError from error
            if not data:
                raise ClosedError
            self._fds += fds
            self._messages += self._frames.feed(data)
        message = self._messages.popleft()
        if message.get("fds", 0) > len(self._fds):
            raise ControlError("descriptors are missing")
        return message, [self._fds.popleft() for _ in range(message.get("fds", 0))]

    def close(self) -> None:
        """Close the channel and all descriptors that were received but not fetched."""
        self._connection.close()
        while self._fds:
            os.close(self._fds.popleft())

    async def _ready(self, add: Callable[[int, Callable[[], None]], None], remove: Callable[[int], bool]) -> None:
        ready = asyncio.Event()
        fd = self._connection.fileno()
        add(fd, ready.set)
        try:
            await ready.wait()
        finally:
            remove(fd)
