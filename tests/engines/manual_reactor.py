"""A worker's reactor in the test's process, driven by hand, so that the work of each round can be counted."""

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
from node.engine.builtin.sessions.protocol_detection import first_stage
from node.engine.builtin.sessions.proxy import Proxy
from tests.clients.streams import HERE, LIMIT_S, LOCAL

ANY = {"exit": {}, "limits": {}, "allow_ips": [], "username": "alice", "password": "wonder"}


@dataclass
class ManualReactor:
    """`far` are the other ends of the sockets, which belong to clients and origins."""

    reactor: Reactor
    far: list[socket.socket] = field(default_factory=list[socket.socket])

    def proxy(self, id_: int = 1, protocol: str = "http", **changes: Any) -> Proxy:
        fields = ANY | {"id": id_, "version": 1, "protocol": protocol, "port": 1} | changes
        record = read_record(fields)
        return Proxy(self.reactor, record, first_stage(record), Account(id_, QuotaUsage()))

    def accept(self, proxy: Proxy, source: str = HERE) -> socket.socket:
        """Connect a client through the proxy's acceptor, and return the client's end."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self.far.append(theirs)
        proxy.accept(ours, source)
        return theirs

    def client(self, proxy: Proxy, data: bytes = b"", source: str = HERE) -> socket.socket:
        """Connect a client that has already sent data, and return the client's end."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.far.append(theirs)
        if data:
            theirs.sendall(data)
        self.reactor.sources.enter_anyway(source)
        proxy.first_stage(Client(self.reactor, ours, proxy, source))
        return theirs

    def serve(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.reactor.serve(0)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + LIMIT_S
        while not condition():
            assert monotonic() < deadline
            self.reactor.serve(0.001)

    def receive_until(self, end: socket.socket, enough: Callable[[bytearray], bool]) -> bytearray:
        """Serve until the received data satisfies the condition, and return it."""
        got = bytearray()

        def come() -> bool:
            got.extend(received(end))
            return enough(got)

        self.until(come)
        return got


def received(end: socket.socket) -> bytes:
    """All data received so far."""
    got = bytearray()
    try:
        while data := end.recv(1 << 20):
            got += data
    except BlockingIOError:
        pass
    return bytes(got)


def is_closed(end: socket.socket) -> bool:
    """Whether the other side has closed the connection, after all data is read."""
    try:
        while end.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


@contextmanager
def manual_reactor() -> Iterator[ManualReactor]:
    """Open a reactor in the running event loop."""
    made = ManualReactor(Reactor(asyncio.get_running_loop()))
    made.reactor.may_connect = DestinationGuard(networks(LOCAL)).permits
    try:
        yield made
    finally:
        for end in made.far:
            end.close()
        for stage in set(made.reactor.stages.values()):
            stage.close()
        made.reactor.close()
