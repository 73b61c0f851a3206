"""A network of their own for the brokers of a cluster, in which one can be cut off from the others.

The brokers see each other at their loopback addresses in the namespace, where rules drop packets between two of them.
Programs outside reach them at the same addresses and ports, through relays.
"""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product

from tests.cluster.networks import CLONE_NEWNET, Network, raise_loopback, require, unshared
from tests.services.folders import unprivileged
from tests.services.relay import Relay


@dataclass
class RelayInto(Relay):
    """A relay at `host:port` of this network to the same address in another one."""

    network: Network | None = None

    async def open(self) -> None:
        """Take connections."""
        self.flows.set()
        self.server = await asyncio.start_server(self._session, self.host, self.port)

    async def _behind(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self.network
        with self.network.entered():
            there = socket.socket()
        there.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(there, (self.host, self.port))
        except OSError:
            there.close()
            raise
        return await asyncio.open_connection(sock=there)


@dataclass
class BrokerNetwork:
    """The network of the brokers at these addresses, of which programs outside may reach these ports."""

    hosts: Sequence[str]
    ports: Sequence[int]
    namespace: Network = field(
        default_factory=lambda: Network(broker_port=0, broker=("", 0), descriptor=unshared("net", CLONE_NEWNET))
    )

    @property
    def prefix(self) -> list[str]:
        """Words that, before a command, run it in this network with the account of the services."""
        account = unprivileged()
        user = [f"--setuid={account.uid}", f"--setgid={account.gid}"] if account else []
        return [*self.namespace.prefix, *user]

    def cut_off(self, host: str) -> None:
        """Drop every packet between this broker and the others."""
        for other in self.hosts:
            if other != host:
                self._rule("-A", "INPUT", "-s", host, "-d", other, "-j", "DROP")
                self._rule("-A", "INPUT", "-s", other, "-d", host, "-j", "DROP")

    def mend(self) -> None:
        """Remove all rules."""
        self._rule("-F", "INPUT")

    def _rule(self, *words: str) -> None:
        subprocess.run([*self.namespace.prefix, "iptables", "-w", *words], check=True, capture_output=True)


@asynccontextmanager
async def broker_network(hosts: Sequence[str], ports: Sequence[int]) -> AsyncIterator[BrokerNetwork]:
    """Open the network and the ways into it. Skips where that is forbidden."""
    require("iptables", "nsenter")
    network = BrokerNetwork(hosts, ports)
    with network.namespace.entered():
        raise_loopback()
    relays = [RelayInto(host, port, network=network.namespace) for host, port in product(hosts, ports)]
    try:
        for relay in relays:
            await relay.open()
        yield network
    finally:
        for relay in relays:
            relay.cut()
        os.close(network.namespace.descriptor)
