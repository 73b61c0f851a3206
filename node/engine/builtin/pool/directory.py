"""The directory in which the workers of an engine have their locks, sockets and logs.

It is the engine's directory or, if that is on a read-only file system, a directory of this user in memory, with links
to the files that workers keep in the engine's directory.
"""

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from node.engine.builtin.accounting.ledger import FOLDER
from node.engine.builtin.net.exit_counter import BLOCKS_FILE, KEYS_FILE
from node.engine.builtin.pool.processes import worker_names

IN_MEMORY = (Path("/run"), Path("/dev/shm"), Path("/tmp"))  # noqa: S108 (a stand-in that does not belong to this user is not used)
SHARED_NAMES = (FOLDER, BLOCKS_FILE, KEYS_FILE)


def home_of(directory: Path, parents: Sequence[Path] = IN_MEMORY) -> Path:
    """Where the workers of this engine run now, or, if none runs, where they can. Raises OSError."""
    stand_ins = [parent / name_of(directory) for parent in parents]
    for home in (directory, *filter(is_own, stand_ins)):
        if worker_names(home):
            return home
    if not is_read_only(directory):
        return directory
    return next((stand_in for stand_in in stand_ins if make_stand_in(stand_in, directory)), directory)


def name_of(directory: Path) -> str:
    return f"maybe-node-{hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:16]}"


def is_read_only(directory: Path) -> bool:
    """Whether the file system is read-only; False for a directory that does not exist yet."""
    return directory.is_dir() and bool(os.statvfs(directory).f_flag & os.ST_RDONLY)


def make_stand_in(stand_in: Path, directory: Path) -> bool:
    """Create the directory in memory with its links; False if that failed."""
    try:
        stand_in.mkdir(mode=0o700, exist_ok=True)
        if not is_own(stand_in):
            return False
        for name in SHARED_NAMES:
            if (directory / name).exists() and not (stand_in / name).is_symlink():
                (stand_in / name).symlink_to(directory / name)
    except OSError:
        return False
    return True


def is_own(stand_in: Path) -> bool:
    """Whether only this user can have written to the directory."""
    try:
        found = stand_in.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
