"""Child process of a test with mounts, limits and a user of its own, which vanish with it."""

import os
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from shared.logs import configure
from tests.cluster.networks import CLONE_NEWNS, call

NOBODY = 65_534


def in_child(act: Callable[[], None]) -> None:
    """Run `act` in a forked child, and fail as it fails. Skips where a child may not have mounts of its own."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        code = 1
        try:
            call("unshare", CLONE_NEWNS)
            mount("--make-rprivate", "/")
            configure("info")
            act()
            code = 0
        except PermissionError:
            code = 2 if os.geteuid() else 1
            os.write(write_end, traceback.format_exc().encode())
        except BaseException:  # noqa: BLE001 (the parent raises it)
            os.write(write_end, traceback.format_exc().encode())
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end) as text:
        failure = text.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 2:
        pytest.skip("this account may not mount")
    assert code == 0, failure


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


class SmallDisk:
    """A file system of a megabyte at `path`, visible in this process alone."""

    def __init__(self, path: Path, size: str = "1m") -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(path))

    def fill(self) -> None:
        """Fill the disk to the last byte."""
        filler = os.open(self.path / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for block in (65_536, 4_096, 1):
            try:
                while os.write(filler, bytes(block)):
                    pass
            except OSError:
                continue
        os.close(filler)

    def free(self) -> None:
        (self.path / "filler").unlink()

    def take_no_writes(self) -> None:
        """Make the disk read-only for files opened from now on; open files stay writable."""
        mount("--bind", str(self.path), str(self.path))
        mount("-o", "remount,bind,ro", str(self.path))

    def take_writes(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True, capture_output=True)


def use_up_descriptors() -> None:
    """Open files until this process may open no more; its limit can be raised again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))
    with suppress(OSError):
        while True:
            os.dup(0)


def killed(act: Callable[[], None]) -> None:
    """Run `act` in a process that is killed right afterwards, with its open files."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
