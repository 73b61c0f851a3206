"""Roots of Debian as debootstrap makes them, in a network of their own with a wire to that of a master."""

import asyncio
import fcntl
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster.networks import CLONE_NEWNET, ip, raise_loopback, unshared
from tests.install.roots import Root, entered, require_roots
from tests.services.ports import HOST

MASTER, NODE = "10.77.0.1", "10.77.0.2"
PACKAGES = ("busybox-static", "curl", "openssl", "python3", "wget")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maybe-proxy-roots"
"""Roots are kept between tests and runs; each is about 250 MiB. They are outside the checkout, whose linters would read
them."""


@dataclass
class DebianRoot(Root):
    """A copy of a root of Debian. Nothing of this host is mounted into it but devices."""

    first: Path = field(default_factory=Path)

    def open(self, programs: str = "") -> None:
        """Copy it, without its cache of packages, and mount devices. `programs` are those of the root's Debian."""
        subprocess.run(["cp", "-a", "--reflink=auto", f"{self.first}/.", str(self.path)], check=True)
        self.path.chmod(0o755)
        self.write("run/calls", "", 0o666)
        self.enter("mount", "--make-rprivate", "/")
        self.enter("mount", "--bind", str(self.path), str(self.path))
        self.mount_devices()
        if self.network is not None:
            with entered(self.network):
                raise_loopback()


def debian(suite: str, *packages: str) -> Path:
    """The root of a minimal Debian with these packages. Skips the test where none can be made."""
    require_roots()
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is missing on this machine")
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = CACHE / "-".join([suite, *packages])
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path
        begun = path.with_name(f".{path.name}")
        shutil.rmtree(begun, ignore_errors=True)
        include = [f"--include={','.join(packages)}"] if packages else []
        command = ["debootstrap", "--variant=minbase", *include, suite, str(begun)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"debootstrap of {suite} failed: {done.stdout[-300:]}")
        shutil.rmtree(begun / "var/cache/apt", ignore_errors=True)
        begun.rename(path)
    return path


@contextmanager
def debian_root(path: Path, suite: str, *packages: str) -> Iterator[DebianRoot]:
    """A root of a test's own, in a network of its own."""
    first = debian(suite, *packages)
    path.mkdir()
    made = DebianRoot(path, first=first)
    try:
        made.open()
        yield made
    finally:
        made.close()


@contextmanager
def wired(node: int) -> Iterator[int]:
    """A network for a master, at MASTER, with a wire to this network, which is at NODE."""
    master = unshared("net", CLONE_NEWNET)
    try:
        with entered(master):
            raise_loopback()
        with moved_thread(node) as thread, entered(master):
            ip("link", "add", "wire", "type", "veth", "peer", "name", "eth0", "netns", str(thread))
            ip("address", "add", f"{MASTER}/24", "dev", "wire")
            ip("link", "set", "wire", "up")
        with entered(node):
            ip("address", "add", f"{NODE}/24", "dev", "eth0")
            ip("link", "set", "eth0", "up")
        yield master
    finally:
        os.close(master)


@contextmanager
def moved_thread(network: int) -> Iterator[int]:
    """A thread that is in this network, by which ip(8) names it."""
    there, over = threading.Event(), threading.Event()
    ids: list[int] = []

    def stay() -> None:
        with entered(network):
            ids.append(threading.get_native_id())
            there.set()
            over.wait()

    thread = threading.Thread(target=stay)
    thread.start()
    there.wait()
    try:
        yield ids[0]
    finally:
        over.set()
        thread.join()


@asynccontextmanager
async def forwarded(networks: list[int], ports: list[int]) -> AsyncIterator[None]:
    """Have these ports of the loopback in each network lead to those of this machine, where the services are."""
    async with AsyncExitStack() as stack:
        for network in networks:
            for port in ports:
                with entered(network):
                    listener = socket.create_server((HOST, port))
                await stack.enter_async_context(forwarding(listener, port))
        yield


@asynccontextmanager
async def forwarding(listener: socket.socket, port: int) -> AsyncIterator[None]:
    """Carry the bytes of each connection to this machine's port."""
    writers: set[asyncio.StreamWriter] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection(HOST, port)
        writers.update({writer, away})
        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(passed_on(reader, away))
                group.create_task(passed_on(there, writer))
        for each in (writer, away):
            each.close()
            writers.discard(each)

    server = await asyncio.start_server(carry, sock=listener)
    try:
        yield
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()


async def passed_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy one direction, and end both with it."""
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    raise ConnectionResetError
