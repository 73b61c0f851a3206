"""Three RabbitMQ programs of this machine that form one cluster, each at a loopback address of its own.

Each has its own host, so that a rule of the network can part two of them, and an epmd of their own maps their names.
The first one founds the cluster, and the others join it (RabbitMQ docs, "Cluster Formation and Peer Discovery").
"""

import asyncio
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import pytest

from master.management import ManagementApi, management_of
from shared.bus.addresses import BrokerAddresses, addresses
from tests.services.folders import Folder, give, unprivileged
from tests.services.ports import AMQP, DISTRIBUTION, MANAGEMENT, PORT_MAPPER, PortBlock
from tests.services.programs import Process, ProgramError
from tests.services.rabbitmq import USER, RabbitMQ, Vhost, find_server
from tests.services.rabbitmq_settings import login_settings, surroundings

HOSTS = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
JOINED_S = 120.0
TICK_S = 8
"""Seconds without a sign of life after which a member counts as away; RabbitMQ's own default is 60."""


@dataclass(frozen=True)
class ClusterVhost(Vhost):
    """A virtual host of the cluster; `hosts` are all members, the first one is the host of the base class."""

    hosts: tuple[str, ...] = HOSTS

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the master."""
        amqp, management = ",".join(self.amqp_urls), ",".join(self.management_urls)
        return {"AMQP_URL": amqp, "RABBITMQ_MANAGEMENT_URL": management, "QUEUE_TYPE": "quorum"}

    @property
    def amqp_urls(self) -> tuple[str, ...]:
        return tuple(self.amqp_url.replace(f"@{self.host}:", f"@{host}:") for host in self.hosts)

    @property
    def management_urls(self) -> tuple[str, ...]:
        return tuple(self.management_url.replace(self.host, host) for host in self.hosts)

    @property
    def broker(self) -> BrokerAddresses:
        """The addresses with their login."""
        return addresses(self.amqp_urls)

    @property
    def management_api(self) -> ManagementApi:
        """The management API for the master's parts."""
        return management_of(self.management_urls, self.broker)


@dataclass
class RabbitMQCluster:
    """The members, in the order of HOSTS. Each can be killed and started again; its data survives."""

    members: Sequence[RabbitMQ]
    mapper: Process
    vhost: ClusterVhost = field(init=False)

    def __post_init__(self) -> None:
        admin = self.members[0].admin
        self.vhost = ClusterVhost(admin.host, admin.port, admin.management_url, admin.user, admin.password)

    async def start(self) -> None:
        """Start all members and wait until each knows that all run. Raises ProgramError."""
        await self.mapper.start()
        founder, *others = self.members
        await founder.start()  # alone: the schema that a member takes over has to be complete
        async with asyncio.TaskGroup() as group:
            for member in others:
                group.create_task(member.start())
        await self.complete()

    async def complete(self) -> None:
        """Wait until each member reports that all members run. Raises ProgramError."""
        try:
            async with asyncio.timeout(JOINED_S):
                while [await self.running(member) for member in self.members] != [len(self.members)] * 3:
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise ProgramError(f"the brokers did not form a cluster within {JOINED_S:.0f} s") from error

    async def running(self, member: RabbitMQ) -> int:
        """Count the members that run, as this one reports them; none when it does not answer."""
        try:
            async with member.admin.management() as api:
                return sum(each["running"] for each in (await api.get("nodes")).raise_for_status().json())
        except (OSError, httpx.HTTPError):
            return 0

    async def queues(self, member: int = 0) -> dict[str, dict[str, object]]:
        """Return the queues by name, as this member reports them."""
        async with self.members[member].admin.management() as api:
            found = (await api.get("queues")).raise_for_status().json()
        return {queue["name"]: queue for queue in found}

    async def end(self) -> None:
        """End all members for good, at once."""
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(member.end())
        await self.mapper.end()


def three_brokers(folder: Folder, ports: PortBlock, prefix: Sequence[str] = ()) -> RabbitMQCluster:
    """Set up three members, which are not started yet. `prefix` runs a command in another network, as their account.

    Skips where this machine has no RabbitMQ or only one loopback address.
    """
    server, epmd = find_server(), shutil.which("epmd")
    if server is None or epmd is None or not has_loopback(HOSTS[-1]):
        pytest.skip("a cluster of brokers needs RabbitMQ on this machine, and more loopback addresses than one")
    command = [epmd, "-port", str(ports.port(PORT_MAPPER)), "-address", ",".join(HOSTS)]
    mapper = Process("epmd", [*prefix, *command], folder.log("epmd"))
    members = [member(folder, ports, number, [*prefix, server]) for number in range(3)]
    for program in (mapper, *(each.program for each in members)):
        if isinstance(program, Process) and not prefix:
            program.account = unprivileged()
    return RabbitMQCluster(members, mapper)


def member(folder: Folder, ports: PortBlock, number: int, command: Sequence[str]) -> RabbitMQ:
    """Set up one member, whose files belong to the account of the services."""
    host = HOSTS[number]
    home = folder.private(f"rabbitmq-{number + 1}")
    admin = Vhost(host, ports.port(AMQP), f"http://{host}:{ports.port(MANAGEMENT)}", USER, folder.secret("rabbitmq"))
    (home / ".erlang.cookie").write_text(folder.secret("cookie"))
    (home / ".erlang.cookie").chmod(0o400)
    (home / "rabbitmq.conf").write_text(settings(admin, founds=number == 0))
    (home / "plugins").write_text("[rabbitmq_management].\n")
    if account := unprivileged():
        give(home, account)
    by_name = surroundings(home, distribution=ports.port(DISTRIBUTION) + 10 * number, mapper=ports.port(PORT_MAPPER))
    address = f"{{{host.replace('.', ',')}}}"
    environment = {
        **by_name,
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_NODENAME": name_of(number),
        # Its connections to other members leave from its own address, so that a rule can tell them from others'.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 1:1"
        f" -kernel inet_dist_use_interface {address} -kernel inet_dist_connect_options [{{ip,{address}}}]",
    }
    log = folder.log(f"rabbitmq-{number + 1}")
    return RabbitMQ(admin, Process(f"rabbitmq-{number + 1}", command, log, environment, worker="beam.smp"))


def settings(admin: Vhost, *, founds: bool) -> str:
    """Write the settings of a member, which founds the cluster or joins it."""
    port = admin.management_url.rpartition(":")[2]
    own = f"""\
listeners.tcp.1 = {admin.host}:{admin.port}
management.tcp.ip = {admin.host}
management.tcp.port = {port}
cluster_partition_handling = pause_minority
net_ticktime = {TICK_S}
collect_statistics_interval = 1000
"""
    return own + login_settings(admin.user, admin.password) + ("" if founds else JOINING)


def name_of(number: int) -> str:
    """Return the name of a member of the cluster."""
    return f"maybe-{number + 1}@{HOSTS[number]}"


JOINING = f"""\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {name_of(0)}
cluster_formation.discovery_retry_limit = 150
cluster_formation.discovery_retry_interval = 200
"""


def has_loopback(host: str) -> bool:
    """Whether this address belongs to this machine."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
