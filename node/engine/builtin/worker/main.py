"""The main program of a worker, a process that runs proxies and outlives the agent that started it.

It is forked from a zygote and imports only the standard library.
"""

import asyncio
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from node.engine.builtin import log
from node.engine.builtin.accounting.ledger import FOLDER, Ledger
from node.engine.builtin.frames import WorkerName
from node.engine.builtin.net.echo_server import opened_echo
from node.engine.builtin.net.loop import Loop
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.worker.commands import Commands
from node.engine.builtin.worker.control_server import ControlServer
from node.engine.builtin.worker.guard_updates import GuardUpdates
from node.engine.builtin.worker.handover.state import Handover
from node.engine.builtin.worker.proxies import Proxies

_COLLECT_AFTER = 50_000
"""Allocations between two garbage collections: connections are freed by reference counting."""


def run(name: WorkerName, build: str) -> NoReturn:
    """Run a worker in the working directory; `build` identifies its code."""
    lock = os.open(name.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        log.write("worker.already_running", worker=name.stem)
        sys.exit(1)
    _raise_descriptor_limit()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(serve(name, build))
    # A hanging lookup in a resolver thread must not keep the process alive.
    os._exit(0)


async def serve(name: WorkerName, build: str) -> None:
    """Serve until SIGTERM or a `halt` command."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    reactor = Reactor(loop)
    proxies = Proxies(reactor, Ledger(Path(FOLDER)))
    guard_updates = GuardUpdates(reactor)
    reactor.echo = await opened_echo()
    async with asyncio.TaskGroup() as tasks:
        handover = Handover(reactor, proxies, tasks, ended.set, build)
        commands = Commands(reactor, proxies, guard_updates, handover, ended.set)
        control_server = ControlServer(loop, commands, _control_socket(name))
        log.write("worker.started", worker=name.stem, pid=os.getpid())
        await ended.wait()
        control_server.close()
        handover.close()
    proxies.close()
    guard_updates.close()
    if reactor.echo is not None:
        reactor.echo.close()
    reactor.close()
    with suppress(OSError):  # it may be gone, or the file system read-only
        os.unlink(name.socket)
    log.write("worker.ended", worker=name.stem, pid=os.getpid())


def _control_socket(name: WorkerName) -> socket.socket:
    """Bind by the name in the working directory: a path of a socket may have 107 bytes (unix(7))."""
    Path(name.socket).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(name.socket)
    return listener


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
