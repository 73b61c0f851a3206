"""Whether an agent works on a data directory: a lock that the kernel lets go of however the agent ends."""

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

PATIENCE_S = 1.0
"""For somebody who only looks whether an agent runs, and holds the lock for that."""
LOOK_S = 0.05


@contextmanager
def sole_agent(settings: Settings) -> Generator[None]:
    """Hold the lock that says that an agent works here. Raises DataDirInUse.

    The directory itself is locked: on a full or read-only disk no file can be made. The pid is written down as well as
    that can be done.
    """
    directory = os.open(settings.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not locked(directory, PATIENCE_S):
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
    """Of the agent that holds the lock, unless it is still writing it down or could not."""
    try:
        text = settings.pid_file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def write_pid(settings: Settings) -> None:
    """A pid that cannot be written is none: the one before is another process by now."""
    try:
        with ExitStack() as stack:
            descriptor = os.open(settings.pid_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError as error:
        log.warning("agent.pid_not_written", path=str(settings.pid_file), reason=error.strerror)


def locked(directory: int, patience_s: float) -> bool:
    """Lock it within this time."""
    limit = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= limit:
                return False
            time.sleep(LOOK_S)
        else:
            return True
