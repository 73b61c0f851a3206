"""Lock of a data directory, held while an agent uses it. The kernel releases it however the agent ends."""

import errno
import fcntl
import os
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import structlog

from node.errors import DataDirInUse
from node.settings import Settings

log = structlog.get_logger()

WAIT_S = 1.0
"""Time to wait for the lock: a program that checks whether an agent runs holds it for a moment."""
TRY_EVERY_S = 0.05


@contextmanager
def sole_agent(settings: Settings) -> Generator[None]:
    """Hold the lock of the data directory, and write the pid file if possible. Raises DataDirInUse.

    The directory itself is locked, since a full or read-only disk takes no new file.
    """
    directory = os.open(settings.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not locked(directory, WAIT_S):
            raise DataDirInUse(str(settings.data_dir))
        write_pid(settings)
        yield
    finally:
        os.close(directory)


def is_running(settings: Settings) -> bool:
    """Whether an agent holds the lock."""
    try:
        directory = os.open(settings.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not locked(directory, 0.0)
    finally:
        os.close(directory)


def agent_pid(settings: Settings) -> int | None:
    """Read the pid of the agent that holds the lock; None when it has not written it yet, or could not."""
    try:
        text = settings.pid_file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def write_pid(settings: Settings) -> None:
    """Write the pid file. On an error it is left empty if possible: the old pid may be another process by now."""
    try:
        with ExitStack() as stack:
            descriptor = os.open(settings.pid_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError as error:
        log.warning("agent.pid_not_written", path=str(settings.pid_file), reason=error.strerror)


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
