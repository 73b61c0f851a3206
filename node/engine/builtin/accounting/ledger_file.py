"""One file of the ledger: appended to by the process that holds its lock, read by all."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

SUFFIX = ".ledger"
_NEW = ".new"
_READ = 1 << 20
_LINE_MAX = 4096
"""Longer than any entry: some twenty numbers and the reasons of refusals, which are words of this program."""


class LedgerFile:
    """Locked by flock(2), which ends with the process however it ends; a file that is not locked is an orphan.

    `fd` stays open, so reads are consistent even if the file is replaced meanwhile. `size` is the position up to which
    this process has written or read.
    """

    __slots__ = ("_torn", "fd", "path", "size")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.size = 0
        self._torn = False

    @classmethod
    def create(cls, path: Path, lines: list[bytes]) -> "LedgerFile":
        """Create the file complete and locked, in place of an earlier one of that name. Raises OSError."""
        new = path.with_suffix(_NEW)
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made = cls(path, fd)
            made.append(lines)
            os.fdatasync(fd)
            os.rename(new, path)
        except BaseException:
            os.close(fd)
            with suppress(OSError):
                new.unlink()
            raise
        _sync_directory(path.parent)
        return made

    @classmethod
    def open(cls, path: Path) -> "LedgerFile | None":
        """Open for reading; None if it does not exist. Raises OSError."""
        try:
            return cls(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    def append(self, lines: list[bytes]) -> None:
        """Append all lines, or raise OSError. A line that was written in part is skipped by readers."""
        if not lines:
            return
        data = (b"\n" if self._torn else b"") + b"\n".join(lines) + b"\n"
        self._torn = True
        while data:
            data = data[os.write(self.fd, data) :]
        self._torn = False
        self.size = os.fstat(self.fd).st_size

    def lines(self, start: int) -> list[tuple[int, bytes]]:
        """Complete lines after this position, each with its own position."""
        parts: list[bytes] = []
        at = start
        while data := os.pread(self.fd, _READ, at):
            parts.append(data)
            at += len(data)
        found: list[tuple[int, bytes]] = []
        for each in b"".join(parts).splitlines(keepends=True):
            if each.endswith(b"\n"):
                found.append((start, each[:-1]))
            start += len(each)
        return found

    def line_at(self, position: int) -> bytes:
        return os.pread(self.fd, _LINE_MAX, position).partition(b"\n")[0]

    def take_over(self) -> bool:
        """Lock the file; False if another process holds it, or if it was replaced."""
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self.is_current()
        return False

    def is_current(self) -> bool:
        """Whether the name still refers to this file. Raises FileNotFoundError."""
        there, here = os.stat(self.path), os.fstat(self.fd)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def close(self) -> None:
        os.close(self.fd)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
