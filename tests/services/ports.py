"""Ports of 127.0.0.1 that neither another run nor an outgoing connection uses."""

import errno
import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BLOCK = 100
LOWEST, HIGHEST = 10_000, 65_000
LOCAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
HOST = "127.0.0.1"

POSTGRES, AMQP, MANAGEMENT, DISTRIBUTION, PORT_MAPPER, AMQPS, MANAGEMENT_TLS, API, ENROLMENT = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    10,
    20,
)
"""Offsets in a block; further masters and nodes count on from API and ENROLMENT."""


class PortError(Exception):
    """A port, or every block of ports, is in use."""


@dataclass
class PortBlock:
    """A hundred consecutive ports. A socket listens on the first one, so that others see the block as claimed."""

    claim: socket.socket

    @property
    def first(self) -> int:
        return self.claim.getsockname()[1]

    @property
    def range(self) -> str:
        """All ports but the first, as in a node's limits in the API: "20001-20099"."""
        return f"{self.first + 1}-{self.first + BLOCK - 1}"

    def port(self, offset: int) -> int:
        """Return the port at an offset from 1 to 99."""
        if not 1 <= offset < BLOCK:
            raise PortError(f"a block has no port {offset}")
        return self.first + offset

    def close(self) -> None:
        self.claim.close()

    @contextmanager
    def held(self) -> "Iterator[PortBlock]":
        """Provide the block, and close it on leaving."""
        try:
            yield self
        finally:
            self.close()


def claim_block(first: int | None = None) -> PortBlock:
    """Claim a block whose ports are all free; with `first`, exactly that one. Raises PortError."""
    starts = starts_outside(outgoing_ports()) if first is None else [first]
    random.shuffle(starts)
    for start in starts:
        claim = bound(start)
        if claim is None:
            continue
        if all(is_free(port) for port in range(start + 1, start + BLOCK)):
            return PortBlock(claim)
        claim.close()
    if first is None:
        raise PortError(
            "no block of a hundred ports is free between 10000 and 65000; end some programs that listen there"
        )
    raise PortError(f"one of the ports from {first} to {first + BLOCK - 1} is in use")


def reclaimed(first: int, offsets: Iterable[int]) -> PortBlock:
    """Claim the block of an earlier run, of which only these offsets matter. Raises PortError naming the port."""
    for port in (first, *(first + offset for offset in offsets)):
        reason = why_not(port)
        if reason:
            raise PortError(f"cannot listen on port {port}, which the kept cluster needs again: {reason}")
    return PortBlock(listening(first))


def claim_range(size: int) -> PortBlock:
    """Claim the first of consecutive free blocks with `size` ports together. Raises PortError."""
    while True:
        first = claim_block()
        try:
            for start in range(first.first + BLOCK, first.first + size + 1, BLOCK):
                if start + BLOCK > HIGHEST:
                    raise PortError(f"no {size} ports follow {first.first}")
                claim_block(start).close()
        except PortError:
            first.close()
        else:
            return first


def starts_outside(outgoing: range) -> list[int]:
    """List the first ports of blocks outside the range of outgoing connections; all blocks if there are none."""
    starts = range(LOWEST, HIGHEST, BLOCK)
    outside = [start for start in starts if start + BLOCK <= outgoing.start or start >= outgoing.stop]
    return outside or list(starts)


def outgoing_ports() -> range:
    """Return the ports that the kernel uses for outgoing connections (ip(7), ip_local_port_range)."""
    if not LOCAL_RANGE.exists():
        return range(49_152, 65_536)
    low, high = LOCAL_RANGE.read_text().split()
    return range(int(low), int(high) + 1)


def is_free(port: int) -> bool:
    """Whether a program can listen on the port now."""
    return why_not(port) is None


def why_not(port: int) -> str | None:
    """Return why no program can listen on the port now: "taken", or the kernel's error; None if one can."""
    try:
        listening(port).close()
    except OSError as error:
        return "taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return None


def bound(port: int) -> socket.socket | None:
    """Listen on the port without accepting; None if that is impossible."""
    try:
        return listening(port)
    except OSError:
        return None


def listening(port: int) -> socket.socket:
    """Listen on the port. Raises OSError.

    SO_REUSEADDR ignores connections of an earlier run, which would block the port for a minute (TIME_WAIT). With it,
    sockets exclude each other only once they listen (socket(7)).
    """
    claim = socket.socket()
    try:
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claim.bind((HOST, port))
        claim.listen(1)
    except OSError:
        claim.close()
        raise
    return claim
