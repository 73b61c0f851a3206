"""Compiles and drives load.c, the load generator and the origin."""

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.engines.measuring import prefer

SOURCE = Path(__file__).parents[1] / "load.c"
COMPILE_S = 60
LATE_S = 60.0
"""How much longer than asked for a run may take."""


class NoCompilerError(Exception):
    """There is no C compiler on PATH."""

    def __init__(self) -> None:
        super().__init__(
            "the load generator is written in C and needs a compiler: install gcc or clang, as `cc` on PATH"
        )


class LoadError(Exception):
    """The generator could not do its work; the text is what it said."""


@dataclass(frozen=True)
class Load:
    """What one run told. `reopened` are kept connections that the other side closed between two answers, `wrong`
    chunks that differ from what was sent, `lost` held connections that ended. Latencies in microseconds."""

    done: int
    failed: int
    reopened: int
    wrong: int
    lost: int
    bytes: int
    seconds: float
    p50_us: int
    p99_us: int
    max_us: int
    cpu_s: float
    reason: str


@dataclass(frozen=True)
class Origin:
    address: str
    pid: int


@dataclass(frozen=True)
class Generator:
    """The compiled program; `login` is (user name, password)."""

    binary: Path
    login: tuple[str, str]
    nice: int = 0

    @asynccontextmanager
    async def origin(self, host: str) -> AsyncGenerator[Origin]:
        """Answers until the context is left."""
        process = await self._started("origin", host)
        try:
            assert process.stdout
            port = int(await process.stdout.readline())
            yield Origin(f"{host}:{port}", process.pid)
        finally:
            await _let_go(process)

    async def run(self, **options: object) -> Load:
        """Keys and values as load.c explains them. Raises LoadError."""
        process = await self._started(*self._arguments(options))
        try:
            async with asyncio.timeout(float(str(options.get("seconds", 0))) + LATE_S):
                output, _ = await process.communicate()
        finally:
            await _let_go(process)
        return _told(process, output)

    @asynccontextmanager
    async def holding(self, **options: object) -> AsyncGenerator[list[Load]]:
        """Connections are there while the context is; the list has the report once it is left. Raises LoadError."""
        process, told = await self._started(*self._arguments(options)), list[Load]()
        try:
            assert process.stdin
            assert process.stdout
            async with asyncio.timeout(LATE_S):
                line = await process.stdout.readline()
            if line != b"ready\n":
                raise LoadError(f"the generator did not get ready: {line!r}")
            yield told
            process.stdin.close()
            async with asyncio.timeout(LATE_S):
                output = await process.stdout.read()
                await process.wait()
            told.append(_told(process, output))
        finally:
            await _let_go(process)

    async def _started(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            self.binary, *arguments, stdin=pipe, stdout=pipe, start_new_session=True
        )
        prefer(process.pid, self.nice)
        return process

    def _arguments(self, options: dict[str, object]) -> list[str]:
        """The login goes along, except to where nobody asks for it."""
        if options.pop("anonymous", False) is False:
            user, password = self.login
            basic = base64.b64encode(f"{user}:{password}".encode()).decode()
            options = {"login": f"{user}:{password}", "basic": basic} | options
        return ["run", *(f"{key}={value}" for key, value in options.items())]


def compiled(folder: Path) -> Path:
    """The program, made in this folder. Raises NoCompilerError, subprocess.CalledProcessError."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoCompilerError
    made = folder / "load"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", made, SOURCE], check=True, timeout=COMPILE_S)
    return made


async def _let_go(process: asyncio.subprocess.Process) -> None:
    """It ends with its input; whatever does not is killed."""
    if process.returncode is None:
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _told(process: asyncio.subprocess.Process, output: bytes) -> Load:
    if process.returncode != 0 or not output:
        raise LoadError(f"the generator ended with {process.returncode}: {output.decode()[-200:]}")
    return Load(**json.loads(output))
