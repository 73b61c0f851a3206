"""Reading what the agent's user may have planted: no link, pipe, device, foreign or endless file is followed or waited
for. Nothing is written."""

import os
import stat
from contextlib import ExitStack
from pathlib import Path

from node.upgrade.records import BadRecord

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UntrustedFile(Exception):
    """Another user could exchange a folder that the upgrade relies on."""


def read_below(folder: Path, *names: str, limit: int) -> bytes | None:
    """Read a file of at most `limit` bytes below a folder; None when it is not there.

    The file has to belong to the folder's owner and to have one name only, so that a hard link to somebody else's file
    is never read. What changes while it is read gives some bytes once, which the caller checks. Raises BadRecord,
    OSError.
    """
    with ExitStack() as stack:
        try:
            parent = opened(stack, folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            owner = os.fstat(parent).st_uid
            for name in names[:-1]:
                parent = opened(stack, name, FOLDER, parent)
            file = opened(stack, names[-1], FILE, parent)
        except FileNotFoundError:
            return None
        check_file(os.fstat(file), owner, limit)
        body = b""
        while len(body) <= limit and (piece := os.read(file, limit + 1 - len(body))):
            body += piece
    if len(body) > limit:
        raise BadRecord(f"it has more than {limit} bytes")
    return body


def opened(stack: ExitStack, path: str | Path, flags: int, parent: int | None = None) -> int:
    """Open a file or folder until the stack is left. Raises OSError."""
    descriptor = os.open(path, flags, dir_fd=parent)
    stack.callback(os.close, descriptor)
    return descriptor


def check_file(status: os.stat_result, owner: int, limit: int) -> None:
    """Check what was opened. Raises BadRecord."""
    if not stat.S_ISREG(status.st_mode):
        raise BadRecord("it is not a regular file")
    if status.st_uid != owner or status.st_nlink != 1:
        raise BadRecord("it is a link to a file elsewhere")
    if status.st_size > limit:
        raise BadRecord(f"it has more than {limit} bytes")


def check_trusted(path: Path, owner: int) -> None:
    """Check that only root or `owner` could exchange this folder or one above it. Raises Untrusted, OSError."""
    for chain in (path.absolute(), path.resolve(strict=True)):
        for each in (chain, *chain.parents):
            status = each.lstat()
            if status.st_uid not in (0, owner):
                raise UntrustedFile(f"{each} belongs to another user (uid {status.st_uid})")
            is_link, is_sticky = stat.S_ISLNK(status.st_mode), status.st_mode & stat.S_ISVTX
            if status.st_mode & OTHERS_WRITE and not is_link and not (is_sticky and each != chain):
                raise UntrustedFile(f"{each} can be written by others; chmod go-w {each}")
