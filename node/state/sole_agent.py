"""Holding of a data directory by its one agent."""

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import structlog

from node.data_directory import NodeFiles
from node.errors import DataDirInUse
from node.state.agent_lock import WAIT_S, locked

log = structlog.get_logger()


@contextmanager
def sole_agent(files: NodeFiles) -> Generator[None]:
    """Hold the lock of the data directory, and write the pid file if possible. Raises DataDirInUse.

    The directory itself is locked, since a full or read-only disk takes no new file.
    """
    directory = os.open(files.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not locked(directory, WAIT_S):
            raise DataDirInUse(str(files.data_dir))
        write_pid(files)
        yield
    finally:
        os.close(directory)


def write_pid(files: NodeFiles) -> None:
    """Write the pid file. On an error it is left empty if possible: the old pid may be another process by now."""
    try:
        with ExitStack() as stack:
            descriptor = os.open(files.pid_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError as error:
        log.warning("agent.pid_not_written", path=str(files.pid_file), reason=error.strerror)
