"""Pipes through which bulk data moves from socket to socket inside the kernel (splice(2))."""

import os
from fcntl import F_SETPIPE_SZ, fcntl

PIPE = 1048576
"""The largest size of a pipe, in bytes, that an unprivileged user may request (pipe(7), pipe-max-size)."""

_ORDINARY_SIZE = 262144
"""Through a pipe of this size splice is twice as fast as through the default of 64 KiB; a large one saves another
seventh of the processor time."""
_MAX_LARGE = 16
"""The number of large pipes; the first ones opened are large, which are all while there are few streams."""
_MAX_IDLE = 16
_ATTEMPTS_SKIPPED = 1024
"""Requests answered with None without trying, after the kernel has refused a pipe."""


class Pipe:
    """A pipe. `buffered` is the number of bytes in it; `large` if its size is PIPE."""

    __slots__ = ("buffered", "large", "read", "write")

    def __init__(self, read: int, write: int) -> None:
        self.read = read
        self.write = write
        self.buffered = 0
        self.large = False

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


class PipePool:
    """Lends out at most `most` pipes. A relay has a pipe only while there is data in it; without one, data is
    copied."""

    __slots__ = ("_idle", "_is_supported", "_large", "_open", "_skips_left", "_unneeded", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._is_supported = True
        self._open = 0
        self._large = 0
        self._idle: list[Pipe] = []
        self._unneeded = 0
        self._skips_left = 0

    def take(self) -> Pipe | None:
        """Lend an empty pipe; None if none is available."""
        if self._idle:
            pipe = self._idle.pop()
            self._unneeded = min(self._unneeded, len(self._idle))
            return pipe
        if self._open >= self.most or self._skips_left or not self._is_supported:
            self._skips_left = max(0, self._skips_left - 1)
            return None
        pipe = _open_pipe(large=self._large < _MAX_LARGE)
        if pipe is None:
            self._skips_left = _ATTEMPTS_SKIPPED
        else:
            self._open += 1
            self._large += pipe.large
        return pipe

    def put_back(self, pipe: Pipe) -> None:
        """Take a pipe back. Bytes that are still in it are lost."""
        if pipe.buffered or len(self._idle) >= _MAX_IDLE:
            self._close(pipe)
        else:
            self._idle.append(pipe)

    def adopt(self, pipe: Pipe) -> None:
        """Count a pipe that another process opened; the total may then exceed `most`."""
        self._open += 1

    def trim(self) -> None:
        """Close idle pipes that were not needed since the last call."""
        for pipe in self._idle[: self._unneeded]:
            self._close(pipe)
        del self._idle[: self._unneeded]
        self._unneeded = len(self._idle)

    def disable(self) -> None:
        """Stop using pipes: this kernel cannot splice these sockets."""
        self._is_supported = False
        self.close()

    def close(self) -> None:
        """Close the idle pipes."""
        while self._idle:
            self._close(self._idle.pop())

    def _close(self, pipe: Pipe) -> None:
        self._open -= 1
        self._large -= pipe.large
        pipe.close()


def _open_pipe(*, large: bool) -> Pipe | None:
    try:
        pipe = Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return None
    pipe.large = large and _resize(pipe, PIPE)
    if pipe.large or _resize(pipe, _ORDINARY_SIZE):
        return pipe
    pipe.close()
    return None


def _resize(pipe: Pipe, size: int) -> bool:
    """Resize the pipe. False if the kernel refuses: the user has too many already, or the size exceeds the host's
    limit."""
    try:
        fcntl(pipe.write, F_SETPIPE_SZ, size)
    except OSError:
        return False
    return True
