"""Agents with an invitation, each in a network of its own that a wire joins to the master's, or behind a gateway."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.cluster import Cluster, end_proxies
from tests.cluster.networks import CLONE_NEWNET, Network, ip, unshared
from tests.services.programs import Process

ALL_PROTOCOLS = 3
"""ETH_P_ALL of linux/if_ether.h."""
INSIDE, GATEWAY = "10.77.0.2", "10.77.0.1"
DEVICE = "eth0"


@dataclass
class InvitedAgent:
    """An agent in its network. `address` is the one that the master sees."""

    agent: Process
    network: Network
    address: str
    gateway: Network | None = None

    async def close(self) -> None:
        """End it with its network."""
        await self.agent.stop()
        await end_proxies(self.agent)
        await self.network.close()
        if self.gateway is not None:
            os.close(self.gateway.descriptor)


@dataclass
class Captured:
    """Bytes of all frames on a wire."""

    frames: list[bytes] = field(default_factory=list[bytes])

    @property
    def text(self) -> str:
        return b"".join(self.frames).decode("latin-1")


@contextmanager
def captured(network: Network) -> Iterator[Captured]:
    """Record all frames of the wire of a network."""
    found = Captured()
    with network.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        tap.bind((DEVICE, 0))
    tap.settimeout(0.1)
    ended = threading.Event()

    def record() -> None:
        while not ended.is_set():
            try:
                found.frames.append(tap.recv(65_536))
            except TimeoutError:
                continue

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
        tap.close()


def wires(number: int) -> tuple[str, str]:
    """The two addresses of a wire: the master's end and the other one (RFC 2544's networks are nobody's)."""
    return f"198.18.{number}.1", f"198.18.{number}.2"


def join(network: Network, number: int, to: Network | None = None) -> None:
    """Lay a wire from a network to the master's, which is the test's own, or to another one."""
    name = f"mp{os.getpid() % 100_000}n{number}"
    other = os.open("/proc/self/ns/net", os.O_RDONLY) if to is None else to.descriptor
    ours, theirs = wires(number) if to is None else (GATEWAY, INSIDE)
    with network.entered():
        ip("link", "set", "lo", "up")
        ip("link", "add", DEVICE, "type", "veth", "peer", "name", name, "netns", f"/proc/{os.getpid()}/fd/{other}")
        ip("address", "add", f"{theirs}/30", "dev", DEVICE)
        ip("link", "set", DEVICE, "up")
    with nullcontext() if to is None else to.entered():
        ip("address", "add", f"{ours}/30", "dev", name)
        ip("link", "set", name, "up")
    with network.entered():
        ip("route", "add", "default", "via", ours)
    if to is None:
        os.close(other)


def forward(gateway: Network, port: int) -> None:
    """Have a gateway hide the network behind it, and pass a port on to it."""
    rules = (
        ["POSTROUTING", "-o", DEVICE, "-j", "MASQUERADE"],
        ["PREROUTING", "-i", DEVICE, "-p", "tcp", "--dport", str(port), "-j", "DNAT", "--to", f"{INSIDE}:{port}"],
    )
    for rule in rules:
        gateway._run(["iptables", "-w", "-t", "nat", "-A", *rule])
    gateway._run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])


async def invited_agent(
    cluster: Cluster, number: int, code: str, announce_port: int, enrol_port: int, *, behind_gateway: bool = False
) -> InvitedAgent:
    """Start an agent in a network of its own, `behind_gateway` or not."""
    network = Network(port := cluster.vhost.used_ports[0], (cluster.vhost.host, port))
    await network.open()
    gateway = None
    if behind_gateway:
        gateway = Network(0, ("", 0), unshared("net", CLONE_NEWNET))
        join(gateway, number)
        join(network, number, gateway)
        forward(gateway, enrol_port)
    else:
        join(network, number)
    master, address = wires(number)
    data = cluster.folder.private(f"invited-{number}")
    environment = {
        "NODE_DATA_DIR": str(data),
        "NODE_ENROL_PORT": str(enrol_port),
        "NODE_WORKERS": "1",
        "NODE_INVITATION": code,
        "NODE_MASTER_URL": f"http://{master}:{announce_port}",
    }
    made = cluster._program(f"invited-{number}", "node", environment)
    command = [*network.prefix, sys.executable, "-m", "node"]
    agent = Process(made.name, command, made.log, made.environment, whole=False)
    await agent.start()
    return InvitedAgent(agent, network, address, gateway)


def data_of(agent: InvitedAgent) -> Path:
    """The data directory of an agent."""
    return Path(agent.agent.environment["NODE_DATA_DIR"])
