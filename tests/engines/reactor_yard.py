"""A worker's reactor in this process, served by hand: what one round of it does can be counted."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.destination_guard import DestinationGuard, networks
from node.engine.builtin.policy.quota_periods import QuotaUsage
from node.engine.builtin.policy.records import read_record
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.protocol_detection import FIRST_STAGES
from node.engine.builtin.sessions.proxy import Proxy
from tests.clients.streams import HERE, LIMIT_S, LOCAL

ANY = {"exit": {}, "limits": {}, "allow_ips": [], "username": "alice", "password": "wonder"}


@dataclass
class Yard:
    """`far` are the ends that clients and origins hold."""

    reactor: Reactor
    far: list[socket.socket] = field(default_factory=list[socket.socket])

    def service(self, id_: int = 1, protocol: str = "http", **changes: Any) -> Proxy:
        told = ANY | {"id": id_, "version": 1, "protocol": protocol, "port": 1} | changes
        return Proxy(self.reactor, read_record(told), FIRST_STAGES[protocol], Account(id_, QuotaUsage()))

    def arrive(self, service: Proxy, source: str = HERE) -> socket.socket:
        """What a client holds that has come by the door."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self.far.append(theirs)
        service.accept(ours, source)
        return theirs

    def client(self, service: Proxy, data: bytes = b"", source: str = HERE) -> socket.socket:
        """What a client of this proxy holds, who has sent these bytes before anybody looked."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.far.append(theirs)
        if data:
            theirs.sendall(data)
        self.reactor.sources.enter_anyway(source)
        service.first_stage(Client(self.reactor, ours, service, source))
        return theirs

    def serve(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.reactor.serve(0)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + LIMIT_S
        while not condition():
            assert monotonic() < deadline
            self.reactor.serve(0.001)

    def hear(self, end: socket.socket, enough: Callable[[bytearray], bool]) -> bytearray:
        """What comes until it is enough."""
        got = bytearray()

        def come() -> bool:
            got.extend(said(end))
            return enough(got)

        self.until(come)
        return got


def said(end: socket.socket) -> bytes:
    """All that has come so far."""
    got = bytearray()
    try:
        while data := end.recv(1 << 20):
            got += data
    except BlockingIOError:
        pass
    return bytes(got)


def over(end: socket.socket) -> bool:
    """Whether the other side has closed it, once all is read."""
    try:
        while end.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


@contextmanager
def yard() -> Iterator[Yard]:
    """In a running event loop."""
    made = Yard(Reactor(asyncio.get_running_loop()))
    made.reactor.may_connect = DestinationGuard(networks(LOCAL)).permits
    try:
        yield made
    finally:
        for end in made.far:
            end.close()
        for stage in set(made.reactor.stages.values()):
            stage.close()
        made.reactor.close()
