"""TCP sockets of this machine, read from /proc/net (proc_net_tcp(5)). Imports the standard library alone."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

ESTABLISHED, LISTEN = 0x01, 0x0A
KEEPALIVE = 2
"""The timer of a connection that waits to probe its silent peer."""

Endpoint = tuple[str, int]
"""Address and port. A port number alone is no identity: other addresses of 127.0.0.0/8 have it as well."""


@dataclass(frozen=True)
class TcpSocket:
    """One line of the table. IPv4 addresses of IPv6 sockets are shown as IPv4."""

    local: Endpoint
    remote: Endpoint
    state: int
    timer: int
    inode: str


def tcp_sockets() -> Iterator[TcpSocket]:
    """All sockets of this network namespace."""
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # no IPv6
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                yield parsed(line)


def parsed(line: str) -> TcpSocket:
    _, local, remote, state, _, timer, _, _, _, inode, *_ = line.split()
    return TcpSocket(endpoint(local), endpoint(remote), int(state, 16), int(timer.partition(":")[0], 16), inode)


def endpoint(text: str) -> Endpoint:
    """Read "0100007F:1F90": 32-bit words in the order of this machine, then the port."""
    words, _, port = text.partition(":")
    numbers = [int(words[at : at + 8], 16) for at in range(0, len(words), 8)]
    packed = struct.pack(f"={len(numbers)}I", *numbers)
    return address_of(packed), int(port, 16)


def address_of(packed: bytes) -> str:
    if len(packed) == 4:
        return str(IPv4Address(packed))
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address)


def connection(local: Endpoint, remote: Endpoint) -> TcpSocket | None:
    """Find the established socket with these two ends; None if there is none."""
    found = (each for each in tcp_sockets() if (each.local, each.remote) == (local, remote))
    return next((each for each in found if each.state == ESTABLISHED), None)


def listeners(port: int, host: str) -> list[TcpSocket]:
    """List the sockets that listen on the port of this address, alone or with all other addresses."""
    places = {(host, port), ("0.0.0.0", port), ("::", port)}
    return [each for each in tcp_sockets() if each.state == LISTEN and each.local in places]
