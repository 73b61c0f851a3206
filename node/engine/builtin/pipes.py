"""Pipes through which bulk data goes from socket to socket inside the kernel (splice(2))."""

import os
from fcntl import F_SETPIPE_SZ, fcntl

PIPE = 262144
"""Bytes a pipe holds: splice is twice as fast through it as through the kernel's 64 KiB."""

_MOST = 200
"""An unprivileged user gets 256 of that size (pipe(7), pipe-user-pages-soft); without one, data is copied."""
_KEPT = 16
_RECKLESS = 1024
"""How often none is asked for after the kernel refused one."""


class Pipe:
    """`held`: bytes that are in it."""

    __slots__ = ("held", "read", "write")

    def __init__(self, read: int, write: int) -> None:
        self.read = read
        self.write = write
        self.held = 0

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


class Pipes:
    """Hands them out; a relay has one only while data is in it."""

    __slots__ = ("_idle", "_most", "_open", "_unasked", "_unneeded")

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._open = 0
        self._idle: list[Pipe] = []
        self._unneeded = 0
        self._unasked = 0

    def take(self) -> Pipe | None:
        """An empty one, None when there is none to be had."""
        if self._idle:
            pipe = self._idle.pop()
            self._unneeded = min(self._unneeded, len(self._idle))
            return pipe
        if self._open >= self._most or self._unasked:
            self._unasked = max(0, self._unasked - 1)
            return None
        pipe = _opened()
        if pipe is None:
            self._unasked = _RECKLESS
        else:
            self._open += 1
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Back; what is still in it is lost."""
        if pipe.held or len(self._idle) >= _KEPT:
            self._open -= 1
            pipe.close()
        else:
            self._idle.append(pipe)

    def adopt(self, pipe: Pipe) -> None:
        """One that was opened by another process; it may exceed what is handed out here."""
        self._open += 1

    def trim(self) -> None:
        """Closes those that nobody needed since it was called the last time."""
        for pipe in self._idle[: self._unneeded]:
            self._open -= 1
            pipe.close()
        del self._idle[: self._unneeded]
        self._unneeded = len(self._idle)

    def forbid(self) -> None:
        """This kernel cannot splice these sockets."""
        self._most = 0
        self.close()

    def close(self) -> None:
        """Those that nobody has."""
        self._open -= len(self._idle)
        while self._idle:
            self._idle.pop().close()


def _opened() -> Pipe | None:
    try:
        pipe = Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return None
    try:
        fcntl(pipe.write, F_SETPIPE_SZ, PIPE)
    except OSError:
        pipe.close()
        return None
    return pipe
