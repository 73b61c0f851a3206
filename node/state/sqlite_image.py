"""Reader of an SQLite file with its write-ahead log that takes no locks and writes nothing.

To read a file in WAL mode, SQLite itself must write its shared memory beside it. That fails on a full or read-only
disk, while the log holds changes that the file lacks. Format: https://sqlite.org/fileformat2.html#walformat
"""

import sqlite3
import struct
from pathlib import Path

HEADER = struct.Struct(">8I")
"""Header of the log: magic, version, page size, checkpoint number, two salts, two checksums."""
FRAME = struct.Struct(">6I")
"""Header of a frame: page number, pages of the database after a commit or 0, two salts, two checksums."""
LITTLE, BIG = 0x377F0682, 0x377F0683
ROLLBACK = b"\x01\x01"
"""Read and write version (offset 18) of a file that is not in WAL mode."""
MASK = 0xFFFF_FFFF


def image_of(path: Path) -> sqlite3.Connection:
    """Load the database as of its last commit into memory. No process may write to the file meanwhile.

    Raises OSError, and sqlite3.Error for a file that is not a database.
    """
    try:
        log = Path(f"{path}-wal").read_bytes()
    except FileNotFoundError:
        log = b""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        db.deserialize(merged(path.read_bytes(), log))
    except BaseException:
        db.close()
        raise
    return db


def merged(file: bytes, log: bytes) -> bytes:
    """Apply every whole transaction of the log to the file, up to a torn frame, and set rollback mode."""
    pages = bytearray(file)
    size, count = committed(pages, log)
    if count:
        del pages[count * size :]
        pages.extend(bytes(count * size - len(pages)))
    if len(pages) > len(ROLLBACK) + 18:
        pages[18:20] = ROLLBACK
    return bytes(pages)


def committed(pages: bytearray, log: bytes) -> tuple[int, int]:
    """Write the log's transactions into `pages`. Returns the page size and the number of pages after the last of them,
    or (0, 0) for a log without a valid header."""
    if len(log) < HEADER.size:
        return 0, 0
    magic, _, size, _, salt_1, salt_2, *checksums = HEADER.unpack_from(log)
    words = "<" if magic == LITTLE else ">"
    sums = checksum((0, 0), log[: HEADER.size - 8], words)
    if magic not in (LITTLE, BIG) or sums != tuple(checksums):
        return 0, 0
    count, pending = 0, list[tuple[int, bytes]]()
    for at in range(HEADER.size, len(log) - FRAME.size - size + 1, FRAME.size + size):
        number, after, *rest = FRAME.unpack_from(log, at)
        page = log[at + FRAME.size : at + FRAME.size + size]
        sums = checksum(checksum(sums, log[at : at + 8], words), page, words)
        if rest != [salt_1, salt_2, *sums] or not number:
            break
        pending.append((number, page))
        if after:
            write_pages(pages, pending, size)
            count, pending = after, []
    return size, count


def write_pages(pages: bytearray, frames: list[tuple[int, bytes]], size: int) -> None:
    """Write the pages of one transaction."""
    for number, page in frames:
        start = (number - 1) * size
        if len(pages) < start:
            pages.extend(bytes(start - len(pages)))
        pages[start : start + size] = page


def checksum(sums: tuple[int, int], data: bytes, words: str) -> tuple[int, int]:
    """Continue the log's checksum over pairs of 32-bit words; `words` is the byte order from its magic number."""
    one, two = sums
    values = iter(struct.unpack(f"{words}{len(data) // 4}I", data))
    for first, second in zip(values, values, strict=True):
        one = (one + first + two) & MASK
        two = (two + second + one) & MASK
    return one, two
