"""Lock of a data directory, held while an agent uses it. The kernel releases it however the agent ends.

`node.state.sole_agent` takes it. This module needs little, since a health check runs every few seconds on every host.
"""

import errno
import fcntl
import os
import time

from node.data_directory import NodeFiles

WAIT_S = 1.0
"""Time to wait for the lock: a program that checks whether an agent runs holds it for a moment."""
TRY_EVERY_S = 0.05


def is_running(files: NodeFiles) -> bool:
    """Whether an agent holds the lock."""
    try:
        directory = os.open(files.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not locked(directory, 0.0)
    finally:
        os.close(directory)


def agent_pid(files: NodeFiles) -> int | None:
    """Read the pid of the agent that holds the lock; None when it has not written it yet, or could not."""
    try:
        text = files.pid_file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def locked(directory: int, wait_s: float) -> bool:
    """Lock the directory; False when that does not succeed within `wait_s`."""
    limit = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= limit:
                return False
            time.sleep(TRY_EVERY_S)
        else:
            return True
