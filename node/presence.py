"""Whether an agent works on a data directory: a lock that the kernel lets go of however the agent ends."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

from node.errors import DataDirInUse
from node.settings import Settings


@contextmanager
def sole_agent(settings: Settings) -> Generator[None]:
    """Hold the lock that says that an agent works here; the kernel lets go of it however the agent ends."""
    with settings.pid_file.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirInUse(str(settings.data_dir)) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def is_running(settings: Settings) -> bool:
    """Whether an agent holds the lock."""
    try:
        with settings.pid_file.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
