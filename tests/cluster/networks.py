"""A network or a disk of a node's own (Linux namespaces), with a wire to the broker that can be cut.

The network namespace has only its loopback. A listener there stands for the broker: packets to it cross the iptables
rules of the namespace, and their bytes are then forwarded to the real broker. A namespace lives as long as its
descriptor, so nothing of it stays behind.
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
    """Create a namespace and return its descriptor. Raises OSError."""

    def act() -> int:
        call("unshare", flags)
        return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY)

    return in_a_thread(act)


@dataclass
class Network:
    """One network namespace. `delay_s` delays all bytes, in either direction."""

    broker_port: int
    broker: tuple[str, int]
    descriptor: int = field(default_factory=lambda: unshared("net", CLONE_NEWNET))
    delay_s: float = 0.0
    server: asyncio.Server | None = None
    carrying: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def prefix(self) -> list[str]:
        """Words that, before a command, run it in this network."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.descriptor}"]

    async def open(self) -> None:
        with self.entered():
            raise_loopback()
            listener = socket.create_server((HOST, self.broker_port))
        self.server = await asyncio.start_server(self._carry, sock=listener)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move the current thread into this network, so that its new sockets belong to it. Do not await inside."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        call("setns", self.descriptor, CLONE_NEWNET)
        try:
            yield
        finally:
            call("setns", own, CLONE_NEWNET)
            os.close(own)

    def drop(self, way: Way, *, percent: int = 100) -> None:
        """Drop packets of one direction, all or at random."""
        chance = [] if percent == 100 else ["-m", "statistic", "--mode", "random", "--probability", str(percent / 100)]
        rule = ["-p", "tcp", PORT_SIDE[way], str(self.broker_port), *chance, "-j", "DROP"]
        self._run(["iptables", "-w", "-A", "INPUT", *rule])

    def mend(self) -> None:
        """Remove delay and loss."""
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
            pass  # the other end, or the test, has ended it: both ends are closed below
        finally:
            self.carrying.discard(task)
            writer.close()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Copy one direction. Raises ConnectionResetError at its end, which ends the other direction as well."""
        while data := await source.read(65536):
            await asyncio.sleep(self.delay_s)
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError


@dataclass
class Disk:
    """A small file system over the data directory of a node, visible to it alone (a mount namespace)."""

    data: Path
    size_mb: int
    descriptor: int = field(default_factory=lambda: unshared("mnt", CLONE_NEWNS | CLONE_FS))

    @property
    def prefix(self) -> list[str]:
        """Words that, before a command, run it with this disk."""
        return ["nsenter", f"--mount=/proc/{os.getpid()}/fd/{self.descriptor}"]

    def open(self) -> None:
        """Mount the disk, with a copy of the directory's content."""
        first = self.data.with_suffix(".first")
        shutil.copytree(self.data, first, symlinks=True, ignore=sockets)
        self._run("mount", "--make-rprivate", "/")
        self._run("mount", "-t", "tmpfs", "-o", f"size={self.size_mb}m,mode=700", "none", str(self.data))
        self._run("cp", "-a", f"{first}/.", str(self.data))

    def fill(self) -> None:
        """Fill the disk to the last byte."""
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
    """List the sockets in a folder: they cannot be copied, and programs create them again."""
    return {name for name in names if (Path(folder) / name).is_socket()}


def require(*programs: str) -> None:
    """Skip the test, with the reason, if this machine lacks network namespaces or one of these programs."""
    try:
        os.close(unshared("net", CLONE_NEWNET))
    except OSError as error:
        pytest.skip(f"this kernel or account forbids network namespaces: {error.strerror}")
    if any(shutil.which(name) is None for name in programs):
        subprocess.run(["/bin/sh", str(LAUNCHER), "install", "network"], check=False, capture_output=True)
    for name in programs:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is missing and could not be installed")


def in_a_thread(act: Callable[[], Answer]) -> Answer:
    """Run `act` in a thread of its own, since a namespace belongs to a thread."""
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
    """Call a function of the C library (Python has setns and unshare from 3.12 on). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def ip(*words: str) -> None:
    """Run ip(8) in the network of this thread."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def raise_loopback() -> None:
    """Bring up the loopback in the network of this thread (netdevice(7))."""
    with socket.socket() as any_socket, suppress(FileExistsError):
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))
