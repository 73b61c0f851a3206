"""The frames that an agent and its workers exchange: four bytes of length, big-endian, then JSON in UTF-8.

A request is `{"id": n, "op": ...}`; its answer carries the same id and either `result` or `error`. A listening socket
travels beside the first byte of its frame (SCM_RIGHTS), which then says `"fds": 1`.
"""

import json
import socket
import struct
from typing import Any, cast

MAX_FRAME = 64 * 1024 * 1024
PROTOCOL = 1
"""Told by `list`, for an agent that finds a worker of another age."""

_LENGTH = struct.Struct("!I")
_CREDENTIALS = struct.Struct("3i")

Message = dict[str, Any]


class ControlError(Exception):
    """What came over the control socket is no frame."""


def frame(message: Message) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Puts frames together out of what a stream socket delivers."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now, in order. Raises ControlError."""
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
    """(pid, uid) of the process at the other end of a Unix socket, as the kernel knows them (unix(7))."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    return pid, uid


def socket_name(index: int) -> str:
    """A worker's control socket inside the engine's directory."""
    return f"worker-{index}.sock"


def log_name(index: int) -> str:
    return f"worker-{index}.log"


def lock_name(index: int) -> str:
    """Held locked by the worker as long as it lives, so that there are never two of one number."""
    return f"worker-{index}.lock"
