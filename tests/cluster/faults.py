"""Faults of a cluster beyond a kill (cuts, lost packets, full disks, restored databases), and checks that it healed."""

import asyncio
import base64
import shutil
import socket
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.cluster.networks import Disk, Network, require, sockets
from tests.services.ports import HOST
from tests.services.postgres import Database, PostgreSQL
from tests.services.programs import tail
from tests.services.rabbitmq import Vhost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster.cluster import Node
    from tests.services.programs import Process


ANSWER_S = 5.0


@dataclass(frozen=True)
class WantedProxy:
    """A proxy as the database wants it."""

    node_id: int
    port: int
    username: str | None
    password: str | None
    protocol: str


class Faults:
    """The part of a cluster that causes faults. Programs have the cluster's names."""

    postgres: PostgreSQL
    database: Database
    vhost: Vhost
    masters: "dict[str, Process]"
    nodes: "dict[str, Node]"
    networks: dict[str, Network]
    disks: dict[str, Disk]

    async def set_apart(self, who: str) -> None:
        """Restart the node in a network of its own, with one wire to the broker. Skips where that is forbidden."""
        require("iptables", "nsenter")
        await self.halt(who)
        network = Network(port := self.vhost.used_ports[0], (self.vhost.host, port))
        await network.open()
        self.networks[who] = network
        await self._restart_behind(who, network.prefix)

    def cut(self, a: str, b: str, *, one_way: bool = False) -> None:
        """Drop every packet from a to b, and from b to a unless `one_way`. One of them is a node set apart, the other
        the broker."""
        sender = a in self.networks
        network = self.networks[a if sender else b]
        if sender or not one_way:
            network.drop("to broker")
        if not sender or not one_way:
            network.drop("from broker")

    def lose(self, percent: int) -> None:
        """Drop a share of the packets, both ways, on the wires of all nodes set apart."""
        for network in self.networks.values():
            network.drop("to broker", percent=percent)
            network.drop("from broker", percent=percent)

    def delay(self, ms: int) -> None:
        """Delay packets, each way, on the wires of all nodes set apart."""
        for network in self.networks.values():
            network.delay_s = ms / 1000

    def mend(self) -> None:
        """Repair all wires."""
        for network in self.networks.values():
            network.mend()

    async def give_disk(self, who: str, *, size_mb: int = 4) -> None:
        """Restart the node with its data on a small file system of its own."""
        require("nsenter", "mount")
        await self.halt(who)
        disk = Disk(self.nodes[who].data, size_mb)
        self.disks[who] = disk
        await asyncio.to_thread(disk.open)
        await self._restart_behind(who, disk.prefix)

    async def fill_disk(self, who: str) -> None:
        """Fill the disk of a node that has one of its own."""
        await asyncio.to_thread(self.disks[who].fill)

    async def free_disk(self, who: str) -> None:
        """Undo `fill_disk`."""
        await asyncio.to_thread(self.disks[who].free)

    async def backup_database(self) -> str:
        """Copy the database for `restore_database`; the masters are down meanwhile."""
        backup = f"{self.database.name}_backup"
        async with self.masters_away():
            await self.postgres.create(backup, template=self.database.name)
        return backup

    async def restore_database(self, backup: str) -> None:
        """Restore the database, which undoes all writes since the backup."""
        async with self.masters_away():
            await self.postgres.drop(self.database.name)
            await self.postgres.create(self.database.name, template=backup)
            await self.postgres.drop(backup)

    def masters_away(self) -> "MastersAway":
        """Kill all masters, and start them again on leaving."""
        return MastersAway(self)

    async def converged(self, within: float) -> float:
        """Wait until exactly the proxies in the database accept connections, with their logins; return the seconds.

        Raises AssertionError with the difference after `within` seconds.
        """
        began = time.monotonic()
        while True:
            difference = await self._difference()
            passed = time.monotonic() - began
            if not difference:
                return passed
            if passed > within:
                logs = "\n".join(tail(program.log, 8) for program in (*self._agents(), *self.masters.values()))
                raise AssertionError(f"not converged within {within} s: {difference[:5]}\n{logs}")
            await asyncio.sleep(0.1)

    async def _difference(self) -> list[str]:
        async with self.database.connection() as database:
            rows = await database.fetch("SELECT node_id, port, username, password, protocol FROM desired_proxies")
        proxies = [WantedProxy(**row) for row in rows]
        found: list[str] = []
        for name, node in self.nodes.items():
            wanted = [proxy for proxy in proxies if proxy.node_id == node.id]
            found += await asyncio.to_thread(compare, self.network_of(name), node.ports.first, wanted)
        return found

    def accepting(self, who: str) -> list[int]:
        """List the ports of the node's block that accept connections. Call it in a thread."""
        first = self.nodes[who].ports.first
        with self.network_of(who):
            return [port for port in range(first + 1, first + 100) if accepts_at(port)]

    async def halt_clone(self, clone: "Node") -> None:
        """End the clone's agent and its proxies."""
        self.nodes[clone.agent.name] = clone
        await self.halt(clone.agent.name)
        del self.nodes[clone.agent.name]

    def name_of(self, node_id: int) -> str:
        """Return the cluster's name of the node with this id."""
        return next(name for name, node in self.nodes.items() if node.id == node_id)

    def network_of(self, who: str) -> AbstractContextManager[None]:
        """Return a context that moves the current thread into the node's network."""
        network = self.networks.get(who)
        return network.entered() if network else nullcontext()

    def _agents(self) -> "list[Process]":
        return [node.agent for node in self.nodes.values()]

    async def _restart_behind(self, who: str, prefix: Sequence[str]) -> None:
        agent = self.nodes[who].agent
        agent.command = [*prefix, *agent.command]
        await self.start(who)

    def change_surroundings(self, who: str, settings: "Mapping[str, str]") -> None:
        """Change the environment of a program, from its next start on."""
        program = self.masters.get(who) or self.nodes[who].agent
        program.environment = {**program.environment, **settings}

    async def clone(self, who: str, beside: str) -> "Node":
        """Start a second agent from a copy of the node's data, in the network of the node `beside`."""
        from tests.cluster.cluster import Node

        original, host = self.nodes[who], self.networks[beside]
        data = original.data.with_name(f"{original.data.name}-clone")
        await asyncio.to_thread(shutil.copytree, original.data, data, symlinks=True, ignore=sockets)
        environment = {**original.agent.environment, "NODE_DATA_DIR": str(data)}
        log = original.agent.log.with_name(f"{who}-clone.log")
        command = [*host.prefix, *original.agent.command[-3:]]
        agent = replace(original.agent, name=f"{who}-clone", command=command, log=log, environment=environment)
        await agent.start()
        return Node(agent, data, original.enrol_port, original.ports, original.id)

    async def close_networks(self) -> None:
        """Close the networks and disks, whose nodes have ended."""
        for network in self.networks.values():
            await network.close()
        for disk in self.disks.values():
            disk.close()


@dataclass
class MastersAway:
    """A context without any running master."""

    cluster: Faults

    async def __aenter__(self) -> None:
        for name in self.cluster.masters:
            await self.cluster.kill(name)

    async def __aexit__(self, *_: object) -> None:
        for name in self.cluster.masters:
            await self.cluster.start(name)


def compare(network: AbstractContextManager[None], first_port: int, wanted: Sequence[WantedProxy]) -> list[str]:
    """Describe the differences between wanted proxies and a block of ports."""
    by_port = {proxy.port: proxy for proxy in wanted}
    found: list[str] = []
    with network:
        for port in range(first_port + 1, first_port + 100):
            accepts, proxy = accepts_at(port), by_port.get(port)
            if proxy is None and accepts:
                found.append(f"port {port} accepts connections but belongs to no proxy")
            elif proxy is not None and not accepts:
                found.append(f"port {port} of node {proxy.node_id} does not accept connections")
            elif proxy is not None and proxy.protocol != "socks5" and not knows(port, proxy):
                found.append(f"port {port} of node {proxy.node_id} does not accept its login")
    return found


def accepts_at(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), ANSWER_S).close()
    except OSError:
        return False
    return True


def knows(port: int, proxy: WantedProxy) -> bool:
    """Whether the proxy accepts the login in the database; it answers 407 otherwise."""
    login = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    head = f"CONNECT {HOST}:1 HTTP/1.1\r\nHost: {HOST}:1\r\nProxy-Authorization: Basic {login}\r\n\r\n"
    try:
        with socket.create_connection((HOST, port), ANSWER_S) as connection:
            connection.sendall(head.encode())
            return b" 407 " not in connection.recv(200).split(b"\r\n")[0]
    except OSError:
        return False
