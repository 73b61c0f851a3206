"""Leash: runs a command and ends everything that it started, however it ends.

There are three processes. The front passes signals on and the exit code back. The keeper, in a session of its own,
adopts every orphan below it (PR_SET_CHILD_SUBREAPER, prctl(2)). The command runs under the keeper. If any of the three
is killed, even by SIGKILL, the keeper or the command clears up. On other systems than Linux, only the command runs.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.services.processes import descendants, name_of

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
GRACE_S = 5.0
RUN = "MAYBE_RUN"
"""Environment variable with the folder of this run for sockets, logs and data; its name labels the containers."""


def main(command: list[str]) -> int:
    """Run the command. Returns its exit code, or 128 + n if signal n ended it."""
    if not command:
        print("usage: python -m tests.services.leash COMMAND ...", file=sys.stderr)
        return 2
    if sys.platform != "linux":
        os.execvp(command[0], command)
    front = os.getpid()
    return attend(born(lambda: keep(command, front)))


def keep(command: list[str], front: int) -> int:
    """Act as the keeper: run the command, then end what it left and remove its folder."""
    os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    follow(front)
    run = Path(tempfile.mkdtemp(prefix="maybe-run-"))
    run.chmod(0o711)
    os.environ[RUN] = str(run)
    keeper = os.getpid()
    code = attend(born(lambda: execute(command, keeper)))
    end_descendants(orderly=code < 128)
    remove_containers(run.name)
    shutil.rmtree(run, ignore_errors=True)
    return code


def execute(command: list[str], keeper: int) -> int:
    """Become the command, which gets SIGTERM when the keeper dies."""
    follow(keeper)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def born(act: Callable[[], int]) -> int:
    """Fork a child that exits with the result of `act`; return its process id."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    pid = os.fork()
    if pid:
        return pid
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    os._exit(act())


def attend(child: int) -> int:
    """Pass signals on to the child until it ends, reap adopted processes, and return the child's exit code."""
    for number in PASSED_ON:
        signal.signal(number, lambda number, _frame: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            break
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
    return code if code >= 0 else 128 - code


def follow(parent: int) -> None:
    """Have the kernel send us SIGTERM when the parent dies; at once if it is dead already."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def prctl(option: int, value: int) -> None:
    """Call prctl(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def end_descendants(*, orderly: bool) -> None:
    """End all processes below, first with SIGTERM, then with SIGKILL. Those left after an orderly end are printed."""
    left = descendants(os.getpid())
    if left and orderly:
        names = ", ".join(f"{name_of(pid)} ({pid})" for pid in left)
        print(f"ending processes that were left running: {names}", file=sys.stderr)
    for number, limit_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        send(number)
        deadline = time.monotonic() + limit_s
        while not reaped_all() and time.monotonic() < deadline:
            time.sleep(0.02)


def send(number: signal.Signals) -> None:
    """Signal all processes below, and resume stopped ones: they handle SIGTERM only then."""
    for pid in descendants(os.getpid()):
        for each in (number, signal.SIGCONT):
            try:
                os.kill(pid, each)
            except ProcessLookupError:
                break


def reaped_all() -> bool:
    """Reap ended children; whether none is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def remove_containers(label: str) -> None:
    """Remove the containers of this run, which belong to Docker's daemon and outlive their clients."""
    if not shutil.which("docker"):
        return
    listed = ["docker", "ps", "-aq", "--filter", f"label=maybe-proxy.run={label}"]
    found = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
    if found:
        subprocess.run(["docker", "rm", "-f", "-v", *found], capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
