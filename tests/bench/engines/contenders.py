"""Starts and ends what is compared."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import worker_pid
from shared.proxies import ProxyRecord
from tests.bench.engines.configurations import PROGRAMS, Place, Program
from tests.bench.engines.measuring import Cores, pinned, prefer

DIRECT, BUILTIN = "direct", "built-in"
LOCAL = ("127.0.0.0/8",)
READY_S = 20.0
PORTS = range(20_000, 30_000)


class StartError(Exception):
    """A program did not come up; the text says why."""


@dataclass(frozen=True)
class Running:
    """One contender at work: how it is reached in which words, and the processes that it is made of."""

    name: str
    roots: tuple[int, ...] = ()
    http: str | None = None
    socks5: str | None = None
    relay: str | None = None
    anonymous: bool = False
    note: str = ""


@dataclass(frozen=True)
class Ground:
    """What all contenders share. `host` is a loopback address of this run's own, so that no port is taken."""

    folder: Path
    host: str
    cores: Cores
    login: tuple[str, str]
    origin: str
    nice: int = 0

    def place(self, name: str) -> Place:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.chmod(0o755)
        return Place(self.host, (free_port(self.host), free_port(self.host)), folder, *self.login, self.origin)


def own_address() -> str:
    """Out of 127.0.0.0/8, all of which is this host (RFC 1122, 3.2.1.3)."""
    return f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}.{secrets.randbelow(250) + 1}"


def free_port(host: str) -> int:
    """Below those that outgoing connections take."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port


def find(name: str, environ: Mapping[str, str]) -> str | None:
    """The program's file; of several that the variable names with colons between them, the first."""
    named = environ.get(PROGRAMS[name].variable, "").split(os.pathsep)[0]
    return named or shutil.which(name, path=f"{environ.get('PATH', '')}:/usr/sbin:/sbin")


def version(binary: str, program: Program) -> str:
    """Such as "1.0.0", or nothing when it does not tell."""
    if not program.version:
        return ""
    told = subprocess.run(
        [binary, *program.version], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=5
    )
    found = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
    return found[0] if found else ""


@asynccontextmanager
async def running(name: str, ground: Ground) -> AsyncGenerator[Running]:
    """The contender, accepting, until the context is left. Raises StartError."""
    if name == DIRECT:
        yield Running(DIRECT, relay=ground.origin, anonymous=True)
    elif name == BUILTIN:
        async with builtin(ground) as made:
            yield made
    else:
        async with launched(PROGRAMS[name], ground) as made:
            yield made


@asynccontextmanager
async def builtin(ground: Ground) -> AsyncGenerator[Running]:
    """One worker with one proxy that speaks everything on one port."""
    place = ground.place("builtin")
    async with worker(place.folder / "engine", ground) as (engine, pid):
        await engine.start(record(1, place.ports[0], ground.login))
        yield Running(BUILTIN, (pid,), http=place.at(0), socks5=place.at(0))


@asynccontextmanager
async def worker(directory: Path, ground: Ground) -> AsyncGenerator[tuple[BuiltinEngine, int]]:
    """The engine of this repository with one worker on the proxy's core, and the worker's pid."""
    with pinned(ground.cores.proxy):
        engine = await BuiltinEngine(directory, listen=ground.host, workers=1, allow_destinations=LOCAL).__aenter__()
    try:
        pid = worker_pid(directory, 0)
        if pid is None:
            raise StartError("the worker of the built-in engine did not start")
        prefer(pid, ground.nice)
        yield engine, pid
    finally:
        await engine.halt()
        await engine.__aexit__(None, None, None)


def record(id_: int, port: int, login: tuple[str, str]) -> ProxyRecord:
    return ProxyRecord.model_validate(
        {
            "id": id_,
            "version": 1,
            "content": 1,
            "protocol": "mixed",
            "port": port,
            "username": login[0],
            "password": login[1],
        }
    )


@asynccontextmanager
async def launched(program: Program, ground: Ground) -> AsyncGenerator[Running]:
    """In a session of its own, all of which is killed in the end."""
    binary = find(program.name, os.environ)
    assert binary
    launch = program.launch(binary, ground.place(program.name))
    with pinned(ground.cores.proxy), (ground.folder / f"{program.name}.log").open("ab") as log:
        process = subprocess.Popen(
            launch.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        prefer(process.pid, ground.nice)
        for address in filter(None, (launch.http, launch.socks5, launch.relay)):
            await accepting(address, process)
        yield Running(
            program.name,
            (process.pid,),
            launch.http,
            launch.socks5,
            launch.relay,
            launch.anonymous,
            launch.note,
        )
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def accepting(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until something listens there. Raises StartError."""
    host, _, port = address.rpartition(":")
    for _ in range(int(READY_S / 0.02)):
        if process.poll() is not None:
            raise StartError(f"it ended at once with {process.returncode}")
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.02)
    raise StartError(f"nothing listens at {address} after {READY_S:.0f} s")
