"""RabbitMQ with its management UI for tests and trials: at a given address, in Docker, or a private broker."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

import httpx

from master.broker_tls.rabbitmq_settings import AMQPS_PORT, MANAGEMENT_TLS_PORT
from tests.services.containers import Container
from tests.services.folders import Folder, give, unprivileged
from tests.services.installing import install
from tests.services.ports import AMQP, AMQPS, DISTRIBUTION, HOST, MANAGEMENT, MANAGEMENT_TLS, PORT_MAPPER, PortBlock
from tests.services.programs import Elsewhere, Process, Program, ProgramError, not_ready
from tests.services.rabbitmq_settings import listener_settings, login_settings, surroundings
from tests.services.rabbitmq_tls import BrokerTls, Certificates, certificates
from tests.services.vhosts import Vhost

IMAGE = "rabbitmq:4-management"
USER = "maybe"
READY_S = 300.0
SERVERS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",  # Linux; the wrapper in sbin insists on the system's user
    "/opt/homebrew/sbin/rabbitmq-server",
    "/usr/local/sbin/rabbitmq-server",
)
IN_CONTAINER = PurePosixPath("/maybe")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


@dataclass
class RabbitMQ:
    """The broker. A restart keeps its addresses, and its data survives a kill."""

    admin: Vhost
    program: Program
    port_mapper: Process | None = None
    """Private epmd: a shared one would outlive the broker and mix it with the system's broker."""

    async def start(self) -> None:
        """Start the broker. Raises ProgramError, with the end of the log, if it is not usable within READY_S."""
        if self.port_mapper and not self.port_mapper.is_running:
            await self.port_mapper.start()
        await self.program.start()
        deadline = time.monotonic() + READY_S
        while not await self.is_ready():
            if not self.program.is_running or time.monotonic() > deadline:
                raise ProgramError(not_ready("RabbitMQ", self.program, READY_S))
            await asyncio.sleep(0.1)

    async def is_ready(self) -> bool:
        """Whether the management API accepts our login and the broker answers a protocol header."""
        try:
            async with asyncio.timeout(10), self.admin.management() as api:
                answer = await api.get("overview")
                return answer.status_code == 200 and await greets(self.admin.host, self.admin.port)
        except (OSError, TimeoutError, httpx.TransportError):
            return False

    async def stop(self) -> None:
        await self.program.stop()
        if self.port_mapper:
            await self.port_mapper.stop()

    async def kill(self) -> None:
        await self.program.kill()

    async def end(self) -> None:
        """End the broker for good, at once."""
        await self.program.end()
        if self.port_mapper:
            await self.port_mapper.end()

    async def freeze(self) -> None:
        await self.program.freeze()

    async def thaw(self) -> None:
        await self.program.thaw()

    async def create(self, name: str) -> Vhost:
        """Create a virtual host with all permissions for our user."""
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        async with self.admin.management() as api:
            (await api.put(f"vhosts/{quote(name, safe='')}")).raise_for_status()
            path = f"permissions/{quote(name, safe='')}/{quote(self.admin.user, safe='')}"
            (await api.put(path, json=everything)).raise_for_status()
        return self.admin.named(name)

    async def ensure(self, name: str) -> Vhost:
        """Return the virtual host of that name; creating an existing one changes nothing."""
        return await self.create(name)

    async def has(self, name: str) -> bool:
        """Whether a virtual host of that name exists."""
        async with self.admin.management() as api:
            return (await api.get(f"vhosts/{quote(name, safe='')}")).status_code == 200

    async def drop(self, name: str) -> None:
        """Delete a virtual host, and users that had permissions only there."""
        path = f"vhosts/{quote(name, safe='')}"
        async with self.admin.management() as api:
            granted = (await api.get(f"{path}/permissions")).raise_for_status().json()
            (await api.delete(path)).raise_for_status()
            for user in {entry["user"] for entry in granted} - {self.admin.user}:
                if not (await api.get(f"users/{quote(user, safe='')}/permissions")).raise_for_status().json():
                    (await api.delete(f"users/{quote(user, safe='')}")).raise_for_status()


async def greets(host: str, port: int) -> bool:
    """Whether an AMQP 0-9-1 server answers with a method frame (type 1)."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(PROTOCOL_HEADER)
        return await reader.read(1) == b"\x01"
    finally:
        writer.close()


def given(amqp_url: str, management_url: str) -> RabbitMQ:
    """Use a broker that runs elsewhere, whose user must be an administrator."""
    parts = urlsplit(amqp_url)
    admin = Vhost(
        host=parts.hostname or HOST,
        port=parts.port or 5672,
        management_url=management_url.rstrip("/"),
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        name=unquote(parts.path[1:]) or "/",
    )
    return RabbitMQ(admin, Elsewhere("RabbitMQ"))


def in_docker(folder: Folder, ports: PortBlock) -> RabbitMQ:
    made = certificates(folder, found_at=IN_CONTAINER / "tls")
    admin = own_login(folder, ports, made)
    private = folder.private("rabbitmq-settings")
    settings = private / "rabbitmq.conf"
    settings.write_text(login_settings(admin.user, admin.password))
    made.copy_to(private / "tls")
    for file in (settings, *(private / "tls").iterdir()):
        file.chmod(0o644)  # the container's user reads it inside; outside, its folder is private
    container = Container(
        name="rabbitmq",
        image=IMAGE,
        log=folder.log("rabbitmq"),
        ports={
            5672: admin.port,
            15672: ports.port(MANAGEMENT),
            AMQPS_PORT: ports.port(AMQPS),
            MANAGEMENT_TLS_PORT: ports.port(MANAGEMENT_TLS),
        },
        environment={"RABBITMQ_CONFIG_FILE": str(IN_CONTAINER / "rabbitmq.conf")},
        folders={folder.path / "rabbitmq-docker": "/var/lib/rabbitmq"} if folder.durable else {},
        files={
            settings: str(IN_CONTAINER / "rabbitmq.conf"),
            made.settings: f"/etc/rabbitmq/conf.d/{made.settings.name}",
            **{file: str(IN_CONTAINER / "tls" / file.name) for file in (private / "tls").iterdir()},
        },
        label=folder.label,
    )
    return RabbitMQ(admin, container)


async def on_this_machine(folder: Folder, ports: PortBlock, report: Callable[[str], None]) -> RabbitMQ:
    """Set up a private broker. Raises ProgramError when RabbitMQ is missing and cannot be installed."""
    account = unprivileged()
    server = find_server() or await installed_server(report)
    home = folder.private("rabbitmq")
    made = certificates(folder, found_at=home / "tls")
    made.copy_to(home / "tls")
    admin = own_login(folder, ports, made)
    environment = surroundings(home, distribution=ports.port(DISTRIBUTION), mapper=ports.port(PORT_MAPPER))
    (home / "rabbitmq.conf").write_text(login_settings(admin.user, admin.password))
    (home / "rabbitmq.conf").chmod(0o600)
    settings = folder.private("rabbitmq/conf.d")
    shutil.copy(made.settings, settings)
    (settings / "90-ports.conf").write_text(listener_settings(ports))
    (home / "plugins").write_text("[rabbitmq_management].\n")
    if account:
        give(home, account)
    broker = Process("rabbitmq", [server], folder.log("rabbitmq"), environment, account, worker="beam.smp")
    epmd = shutil.which("epmd")
    command = [str(epmd), "-port", environment["ERL_EPMD_PORT"], "-address", HOST]
    mapper = Process("epmd", command, folder.log("epmd"), environment, account) if epmd else None
    return RabbitMQ(admin, broker, mapper)


def own_login(folder: Folder, ports: PortBlock, made: Certificates) -> Vhost:
    management, encrypted = (ports.port(offset) for offset in (MANAGEMENT, MANAGEMENT_TLS))
    tls = BrokerTls(ports.port(AMQPS), f"https://{HOST}:{encrypted}", made.authority)
    password = folder.secret("rabbitmq")
    return Vhost(HOST, ports.port(AMQP), f"http://{HOST}:{management}", USER, password, tls=tls)


def find_server() -> str | None:
    return next((path for path in SERVERS if os.access(path, os.X_OK)), None)


async def installed_server(report: Callable[[str], None]) -> str:
    """Install RabbitMQ by the system's package manager, without starting its service. Raises ProgramError."""
    await install("rabbitmq", report)
    server = find_server()
    if server is None:
        raise ProgramError(f"RabbitMQ was installed, but none of {', '.join(SERVERS)} exists; use Docker instead")
    return server
