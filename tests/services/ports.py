"""Ports of 127.0.0.1 that neither another run nor an outgoing connection takes."""

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

POSTGRES, AMQP, MANAGEMENT, DISTRIBUTION, PORT_MAPPER, API, ENROLMENT = 1, 2, 3, 4, 5, 10, 20
"""The places in a block; several masters and nodes follow on from API and ENROLMENT."""


class PortError(Exception):
    """No block of ports is free."""


@dataclass
class PortBlock:
    """A hundred consecutive ports. The first is held for as long as the block is: the claim that others see."""

    claim: socket.socket

    @property
    def first(self) -> int:
        return self.claim.getsockname()[1]

    @property
    def range(self) -> str:
        """All but the claim, as the API writes a node's ports: "20001-20099"."""
        return f"{self.first + 1}-{self.first + BLOCK - 1}"

    def port(self, place: int) -> int:
        """The port at this place of the block, from 1 to 99: the same one from start to start."""
        if not 1 <= place < BLOCK:
            raise PortError(f"a block has no port {place}")
        return self.first + place

    def close(self) -> None:
        self.claim.close()

    @contextmanager
    def held(self) -> "Iterator[PortBlock]":
        """Closes it on leaving."""
        try:
            yield self
        finally:
            self.close()


def claim_block(first: int | None = None) -> PortBlock:
    """A block whose ports are all free; with `first` exactly that one. Raises PortError."""
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
            "no block of a hundred ports is free between 10000 and 65000: end some of the listening programs"
        )
    raise PortError(f"one of the ports from {first} to {first + BLOCK - 1} is taken")


def reclaimed(first: int, places: Iterable[int]) -> PortBlock:
    """The block of an earlier run, of which only these places matter. Raises PortError naming the taken port."""
    for port in (first, *(first + place for place in places)):
        reason = why_not(port)
        if reason:
            raise PortError(f"port {port}, which the kept cluster has to have again, cannot be listened on: {reason}")
    return PortBlock(listening(first))


def claim_range(size: int) -> PortBlock:
    """The first of as many blocks in a row as have so many ports. Raises PortError."""
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
    """First ports of the blocks that do not touch the range of outgoing connections; all blocks when it leaves none."""
    starts = range(LOWEST, HIGHEST, BLOCK)
    outside = [start for start in starts if start + BLOCK <= outgoing.start or start >= outgoing.stop]
    return outside or list(starts)


def outgoing_ports() -> range:
    """The ports that the kernel gives to outgoing connections (ip(7), ip_local_port_range)."""
    if not LOCAL_RANGE.exists():
        return range(49_152, 65_536)
    low, high = LOCAL_RANGE.read_text().split()
    return range(int(low), int(high) + 1)


def is_free(port: int) -> bool:
    """Whether it could be listened on at this moment."""
    return why_not(port) is None


def why_not(port: int) -> str | None:
    """Why it cannot be listened on at this moment: "taken", or what the kernel says; None when it can."""
    try:
        listening(port).close()
    except OSError as error:
        return "taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return None


def bound(port: int) -> socket.socket | None:
    """A socket that listens on that port and never accepts; None when the port cannot be listened on."""
    try:
        return listening(port)
    except OSError:
        return None


def listening(port: int) -> socket.socket:
    """Raises OSError.

    With SO_REUSEADDR, as servers do, or the last connections of an earlier run would hold the port for a minute
    (TIME_WAIT). Such sockets keep each other off a port only once they listen (socket(7)).
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
