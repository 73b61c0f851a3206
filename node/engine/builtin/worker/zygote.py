"""A process with all of a worker's code loaded, which forks off a worker in milliseconds when the agent asks for one.

A start of Python takes a hundred. Run as `python -m node.engine.builtin.worker.zygote DIRECTORY`, standard input a
socket to the agent that keeps messages apart. It has one thread, as fork(2) demands, and ends with its agent; workers
do not.
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
_LONGEST = 256
_NAME_MAX = 15
"""Of a process, as ps(1) and top(1) show it (proc(5))."""


def main() -> None:
    os.umask(0o077)
    os.chdir(sys.argv[1])
    # What the agent's caller left open is not for processes that outlive both.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    # Nobody waits for the workers here, so the kernel buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    build = build_id()
    gc.collect()
    gc.freeze()
    name = _fork_until_alone(socket.socket(fileno=0))
    if name is not None:
        run(name, build)


def _fork_until_alone(agent: socket.socket) -> WorkerName | None:
    """In each worker its name; None in the zygote, when the agent is gone."""
    try:
        agent.send(READY)
        while asked := agent.recv(_LONGEST):
            name = WorkerName(*json.loads(asked))
            pid = _forked()
            if pid == 0:
                agent.detach()
                _part(name)
                return name
            agent.send(b"%d" % pid)
    except ConnectionError:
        log.write("zygote.left_alone")
    return None


def _forked() -> int:
    """0 in the child; in the parent its pid, or a negative errno where there is none."""
    try:
        return os.fork()
    except OSError as error:
        return -(error.errno or 1)


def _part(name: WorkerName) -> None:
    """Gives up what a worker does not share with the zygote: session, standard streams, signals and name."""
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
