"""Kills a program at its N-th act on the world: each file, link, process and connection that it makes is one."""

import os
import signal
import sys
from collections.abc import Callable

ACTS = frozenset(
    "os.rename os.remove os.mkdir os.rmdir os.symlink os.chmod os.link os.truncate os.fork subprocess.Popen "
    "socket.connect shutil.rmtree fcntl.flock".split()
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def is_act(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether an audit event is of an act that changes something."""
    if event != "open":
        return event in ACTS
    _, mode, flags = arguments
    return bool(int(str(flags)) & WRITING) or any(letter in str(mode or "") for letter in "wxa+")


def killed_at(number: int, program: Callable[[], int]) -> bool:
    """Run a program in a child process that is killed before its act of this number; whether it came so far.

    Processes that it started live on, as they do after a real SIGKILL.
    """
    pid = os.fork()
    if pid == 0:
        left, own = number, os.getpid()

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if os.getpid() == own and is_act(event, arguments):
                left -= 1
                if left < 0:
                    os.kill(own, signal.SIGKILL)

        sys.addaudithook(count)
        try:
            os._exit(program())
        finally:
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0
