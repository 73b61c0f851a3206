"""The format of messages between an agent and its workers: four bytes of length, big-endian, then JSON in UTF-8.

A request is `{"id": n, "op": ...}`; its answer has the same id and either `result` or `error`. File descriptors travel
with the first bytes of their frame (SCM_RIGHTS), which then states their number: `"fds": n`.
"""

import json
import socket
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

MAX_FRAME = 64 * 1024 * 1024
MAX_FDS = 253
"""The most descriptors in one message (SCM_MAX_FD, unix(7))."""
MAX_PORTS = 2
"""The most ports of one proxy."""
PROTOCOL = 3
"""The version of the protocol, reported by `list` to an agent that finds a worker of another release."""

_LENGTH = struct.Struct("!I")
_CREDENTIALS = struct.Struct("3i")

Message = dict[str, Any]
T = TypeVar("T")


class ControlError(Exception):
    """Data on the control socket is not a valid frame."""


def frame(message: Message) -> bytes:
    """Encode a message."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Assembles frames from the data of a stream socket."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Add received data, and return the messages that are complete now, in order. Raises ControlError."""
        self._data += data
        messages: list[Message] = []
        while len(self._data) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data)
            if length > MAX_FRAME:
                raise ControlError("a frame is too long")
            end = _LENGTH.size + length
            if len(self._data) < end:
                break
            messages.append(_message(bytes(self._data[_LENGTH.size : end])))
            del self._data[:end]
        return messages


def _message(body: bytes) -> Message:
    try:
        message: object = json.loads(body)
    except ValueError as error:
        raise ControlError("a frame is not JSON") from error
    if not isinstance(message, dict):
        raise ControlError("a frame is not an object")
    return cast("Message", message)


def peer(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end of a Unix socket, as reported by the kernel (unix(7))."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    return pid, uid


class WorkerName(NamedTuple):
    """Identifies a worker and its process: a handover starts the next generation beside the previous one."""

    number: int
    generation: int = 0

    @property
    def stem(self) -> str:
        """The base name of its files."""
        return f"worker-{self.number}.{self.generation}" if self.generation else f"worker-{self.number}"

    @property
    def socket(self) -> str:
        """The name of its control socket in the engine's directory."""
        return f"{self.stem}.sock"

    @property
    def lock(self) -> str:
        """The name of its lock file, locked by the process as long as it lives, so that no two processes have the same
        name."""
        return f"{self.stem}.lock"

    @property
    def log(self) -> str:
        """The name of its log, which all generations share."""
        return f"worker-{self.number}.log"


def worker_name(stem: str) -> WorkerName | None:
    """Parse the base name of a worker's files; None for other files."""
    kind, _, number = stem.partition("-")
    first, _, generation = number.partition(".")
    if kind != "worker" or not first.isdecimal() or not (generation or "0").isdecimal():
        return None
    return WorkerName(int(first), int(generation or 0))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split items into batches, in order, none of them empty."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
