"""The files that random exits keep: numbers that are used up, and the keys under which addresses were drawn."""

import errno
import os
from pathlib import Path

BLOCK = 16_384
"""Numbers reserved at once: a crash wastes at most this many, and the disk is written once for as many connections."""
BLOCKS_FILE = "exit-blocks"
KEYS_FILE = "exit-keys"
_KEY = 32

CounterKey = tuple[str, str]
"""(prefix, key in hexadecimal)"""


class ExitCounter:
    """Numbers that no connection of this node has had before, shared by all workers of a directory.

    Every byte of the file is a reserved block. Bytes are only appended, which is atomic among processes (open(2),
    O_APPEND), and the position of a byte is the block's number: workers and their successors need no lock and share no
    block.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next = self._end = 0
        self._noted: set[CounterKey] | None = None

    def next(self) -> int:
        """The next number. Raises OSError if no block can be reserved."""
        if self._next == self._end:
            self._end = BLOCK * _append(self._directory / BLOCKS_FILE, b".")
            self._next = self._end - BLOCK
        self._next += 1
        return self._next - 1

    def note(self, prefix: str, key: bytes) -> None:
        """Store a key before an address is drawn under it, because proxies and keys may be removed. Raises OSError."""
        entry = (prefix, key.hex())
        if self._noted is None:
            self._noted = set(noted_keys(self._directory))
        if entry not in self._noted:
            _append(self._directory / KEYS_FILE, f"\n{prefix} {key.hex()}\n".encode())
            self._noted.add(entry)


def noted_keys(directory: Path) -> list[CounterKey]:
    """Every key under which addresses were drawn. A line that was cut off by a full disk is ignored. Raises OSError."""
    try:
        lines = (directory / KEYS_FILE).read_text().splitlines()
    except FileNotFoundError:
        return []
    entries = [line.split(" ") for line in lines]
    return list(dict.fromkeys((entry[0], entry[1]) for entry in entries if len(entry) == 2 and len(entry[1]) == _KEY))


def drawn_so_far(directory: Path) -> int:
    """The upper bound of the numbers that may have been used. Raises OSError."""
    try:
        return BLOCK * (directory / BLOCKS_FILE).stat().st_size
    except FileNotFoundError:
        return 0


def _append(file: Path, data: bytes) -> int:
    """Append data, write it to disk, and return the new end of the file. Raises OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        written = os.write(descriptor, data)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if end == written:
        _make_lasting(file.parent)
    return end


def _make_lasting(directory: Path) -> None:
    """Write the directory to disk, and with it the name of a new file (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
