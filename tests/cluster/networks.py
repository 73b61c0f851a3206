"""A network of a node's own (a Linux network namespace) and the wire from it to the broker, which can be cut.

The namespace has only its loopback, on which the broker's port is a door: what the node sends there crosses iptables
rules of that namespace and is then carried to the real broker. It lives as long as its descriptor: nothing of it stays.
"""

import asyncio
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import pytest

from tests.services.ports import HOST

CLONE_NEWNS, CLONE_FS, CLONE_NEWNET = 0x20000, 0x200, 0x40000000
SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41
LAUNCHER = Path(__file__).parents[2] / "dev"
Way = Literal["to broker", "from broker"]
PORT_SIDE = {"to broker": "--dport", "from broker": "--sport"}
Answer = TypeVar("Answer")


def unshared(kind: str, flags: int) -> int:
    """A descriptor of a new namespace. Raises OSError."""

    def act() -> int:
        call("unshare", flags)
        return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY)

    return in_a_thread(act)


@dataclass
class Network:
    """One namespace. `delay_s` holds every byte up on its way, in either direction."""

    door: int
    broker: tuple[str, int]
    descriptor: int = field(default_factory=lambda: unshared("net", CLONE_NEWNET))
    delay_s: float = 0.0
    server: asyncio.Server | None = None
    carrying: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def prefix(self) -> list[str]:
        """Put before a command, it runs the command in there."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.descriptor}"]

    async def open(self) -> None:
        with self.entered():
            raise_loopback()
            listener = socket.create_server((HOST, self.door))
        self.server = await asyncio.start_server(self._carry, sock=listener)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong to that network. Do not await in it."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        call("setns", self.descriptor, CLONE_NEWNET)
        try:
            yield
        finally:
            call("setns", own, CLONE_NEWNET)
            os.close(own)

    def drop(self, way: Way, *, percent: int = 100) -> None:
        """Lose packets of this direction, at random or all."""
        chance = [] if percent == 100 else ["-m", "statistic", "--mode", "random", "--probability", str(percent / 100)]
        rule = ["-p", "tcp", PORT_SIDE[way], str(self.door), *chance, "-j", "DROP"]
        self._run(["iptables", "-w", "-A", "INPUT", *rule])

    def mend(self) -> None:
        """As it was at first."""
        self.delay_s = 0.0
        self._run(["iptables", "-w", "-F", "INPUT"])

    async def close(self) -> None:
        if self.server:
            self.server.close()
        for task in self.carrying:
            task.cancel()
        await asyncio.sleep(0)
        os.close(self.descriptor)

    def _run(self, command: Sequence[str]) -> None:
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.carrying.add(task)
        try:
            there, away = await asyncio.open_connection(*self.broker)
            try:
                async with asyncio.TaskGroup() as group:
                    for source, sink in ((reader, away), (there, writer)):
                        group.create_task(self._pass_on(source, sink))
            finally:
                away.close()
        except* (OSError, asyncio.CancelledError):
            pass  # the other end, or the test, has ended it: closing both ends below tells so
        finally:
            self.carrying.discard(task)
            writer.close()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Raises ConnectionResetError when this direction ends: a link ends as a whole."""
        while data := await source.read(65536):
            await asyncio.sleep(self.delay_s)
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError


@dataclass
class Disk:
    """A small file system of a node's own over its data directory, seen by nobody else (a mount namespace)."""

    data: Path
    size_mb: int
    descriptor: int = field(default_factory=lambda: unshared("mnt", CLONE_NEWNS | CLONE_FS))

    @property
    def prefix(self) -> list[str]:
        """Put before a command, it runs the command in there."""
        return ["nsenter", f"--mount=/proc/{os.getpid()}/fd/{self.descriptor}"]

    def open(self) -> None:
        """What is in the directory is there too."""
        first = self.data.with_suffix(".first")
        shutil.copytree(self.data, first, symlinks=True, ignore=sockets)
        self._run("mount", "--make-rprivate", "/")
        self._run("mount", "-t", "tmpfs", "-o", f"size={self.size_mb}m,mode=700", "none", str(self.data))
        self._run("cp", "-a", f"{first}/.", str(self.data))

    def fill(self) -> None:
        """Until not a byte is left."""
        for block in ("1M", "4k", "1"):
            script = f"dd if=/dev/zero bs={block} of={self.data}/filler conv=notrunc oflag=append 2>/dev/null"
            subprocess.run([*self.prefix, "sh", "-c", script], check=False)

    def free(self) -> None:
        self._run("rm", str(self.data / "filler"))

    def close(self) -> None:
        os.close(self.descriptor)

    def _run(self, *command: str) -> None:
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)


def sockets(folder: str, names: list[str]) -> set[str]:
    """Those that are sockets: they cannot be copied and are made anew."""
    return {name for name in names if (Path(folder) / name).is_socket()}


def require(*programs: str) -> None:
    """Skip the test, with a plain reason, where this machine cannot give a node a world of its own."""
    try:
        os.close(unshared("net", CLONE_NEWNET))
    except OSError as error:
        pytest.skip(f"this kernel or account forbids network namespaces: {error.strerror}")
    if any(shutil.which(name) is None for name in programs):
        subprocess.run(["/bin/sh", str(LAUNCHER), "install", "network"], check=False, capture_output=True)
    for name in programs:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not here and could not be installed")


def in_a_thread(act: Callable[[], Answer]) -> Answer:
    """What `act` answers in a thread that ends with it: a namespace belongs to a thread."""
    answers: list[Answer] = []
    errors: list[OSError] = []

    def run() -> None:
        try:
            answers.append(act())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def call(function: str, *arguments: int) -> None:
    """Of the C library (Python has setns and unshare from 3.12 on). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def ip(*words: str) -> None:
    """ip(8) in the network that this thread is in."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def raise_loopback() -> None:
    """Of the network that this thread is in (netdevice(7))."""
    with socket.socket() as any_socket, suppress(FileExistsError):
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))
