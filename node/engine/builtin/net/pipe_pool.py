"""Pipes through which bulk data goes from socket to socket inside the kernel (splice(2))."""

import os
from fcntl import F_SETPIPE_SZ, fcntl

PIPE = 1048576
"""The most that a pipe holds, in bytes, and that an unprivileged user may ask for (pipe(7), pipe-max-size)."""

_ORDINARY = 262144
"""Splice is twice as fast through such a pipe as through the kernel's 64 KiB; through a large one it takes a seventh
less of the processor's time still."""
_LARGE = 16
"""Those opened first are; with few streams at once these are all there are."""
_KEPT = 16
_RECKLESS = 1024
"""How often none is asked for after the kernel refused one."""


class Pipe:
    """`held`: bytes that are in it. `large`: it takes as much as PIPE."""

    __slots__ = ("held", "large", "read", "write")

    def __init__(self, read: int, write: int) -> None:
        self.read = read
        self.write = write
        self.held = 0
        self.large = False

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


class PipePool:
    """Hands them out, at most `most`; a relay has one only while data is in it, and without one data is copied."""

    __slots__ = ("_able", "_idle", "_large", "_open", "_unasked", "_unneeded", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._able = True
        self._open = 0
        self._large = 0
        self._idle: list[Pipe] = []
        self._unneeded = 0
        self._unasked = 0

    def take(self) -> Pipe | None:
        """An empty one, None when there is none to be had."""
        if self._idle:
            pipe = self._idle.pop()
            self._unneeded = min(self._unneeded, len(self._idle))
            return pipe
        if self._open >= self.most or self._unasked or not self._able:
            self._unasked = max(0, self._unasked - 1)
            return None
        pipe = _opened(large=self._large < _LARGE)
        if pipe is None:
            self._unasked = _RECKLESS
        else:
            self._open += 1
            self._large += pipe.large
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Back; what is still in it is lost."""
        if pipe.held or len(self._idle) >= _KEPT:
            self._close(pipe)
        else:
            self._idle.append(pipe)

    def adopt(self, pipe: Pipe) -> None:
        """One that was opened by another process; it may exceed what is handed out here."""
        self._open += 1

    def trim(self) -> None:
        """Closes those that nobody needed since it was called the last time."""
        for pipe in self._idle[: self._unneeded]:
            self._close(pipe)
        del self._idle[: self._unneeded]
        self._unneeded = len(self._idle)

    def forbid(self) -> None:
        """This kernel cannot splice these sockets."""
        self._able = False
        self.close()

    def close(self) -> None:
        """Those that nobody has."""
        while self._idle:
            self._close(self._idle.pop())

    def _close(self, pipe: Pipe) -> None:
        self._open -= 1
        self._large -= pipe.large
        pipe.close()


def _opened(*, large: bool) -> Pipe | None:
    try:
        pipe = Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return None
    pipe.large = large and _sized(pipe, PIPE)
    if pipe.large or _sized(pipe, _ORDINARY):
        return pipe
    pipe.close()
    return None


def _sized(pipe: Pipe, size: int) -> bool:
    """Whether the kernel grants it: it refuses who has much already, and what is beyond the host's setting."""
    try:
        fcntl(pipe.write, F_SETPIPE_SZ, size)
    except OSError:
        return False
    return True
