"""A process with all of a worker's code loaded, which forks a worker within milliseconds on request.

Starting Python takes a hundred. Run as `python -m node.engine.builtin.worker.zygote DIRECTORY`, with a SOCK_SEQPACKET
socket to the agent as standard input. It has a single thread, as fork(2) requires, and ends with its agent; workers do
not.
"""

import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path

from node.engine.builtin import log
from node.engine.builtin.build_id import build_id
from node.engine.builtin.frames import WorkerName
from node.engine.builtin.worker.main import run

READY = b"ready"
_MESSAGE_MAX = 256
_NAME_MAX = 15
"""The longest name of a process, as ps(1) and top(1) show it (proc(5))."""


def main() -> None:
    os.umask(0o077)
    os.chdir(sys.argv[1])
    # Files that the agent's caller left open are not for processes that outlive both.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    # The zygote does not wait for workers, so the kernel reaps them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    build = build_id()
    gc.collect()
    gc.freeze()
    name = _fork_until_alone(socket.socket(fileno=0))
    if name is not None:
        run(name, build)


def _fork_until_alone(agent: socket.socket) -> WorkerName | None:
    """Fork workers on request. Returns the worker's name in each of them; None in the zygote once the agent is gone."""
    try:
        agent.send(READY)
        while request := agent.recv(_MESSAGE_MAX):
            name = WorkerName(*json.loads(request))
            pid = _fork()
            if pid == 0:
                agent.detach()
                _detach(name)
                return name
            agent.send(b"%d" % pid)
    except ConnectionError:
        log.write("zygote.orphaned")
    return None


def _fork() -> int:
    """Fork. Returns 0 in the child, the child's pid in the parent, or a negative errno."""
    try:
        return os.fork()
    except OSError as error:
        return -(error.errno or 1)


def _detach(name: WorkerName) -> None:
    """Leave what a worker does not share with the zygote: session, standard streams, signals and name."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for fd, path, flags in ((0, os.devnull, os.O_RDONLY), (1, name.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    os.dup2(1, 2)
    Path("/proc/self/comm").write_text(f"maybe-{name.stem}"[:_NAME_MAX])


if __name__ == "__main__":
    main()
