"""A tunnel of the built-in engine between two sockets of a test's own."""

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.net.connection import Connection
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.quota_periods import QuotaUsage
from node.engine.builtin.policy.records import read_record
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.sessions.tunnel import Tunnel
from tests.clients.streams import HERE, LIMIT_S

DATA = random.randbytes(8 << 20)


@dataclass
class Ends:
    """`near` is the client's end, `far` the destination's, which sends what is `left` of the data."""

    reactor: Reactor
    service: Proxy
    tunnel: Tunnel
    near: socket.socket
    far: socket.socket
    left: bytes = b""
    got: bytearray = field(default_factory=bytearray)

    def pour(self) -> None:
        """What the far end sends next, as much as goes."""
        try:
            while self.left:
                self.left = self.left[self.far.send(self.left[: 1 << 20]) :]
        except BlockingIOError:
            return

    def drink(self) -> bytes | None:
        """What the near end has got; empty at the end, None before."""
        try:
            while data := self.near.recv(1 << 20):
                self.got += data
        except BlockingIOError:
            return None
        return b""

    def until(self, condition: Callable[[], bool]) -> None:
        end = monotonic() + LIMIT_S
        while not condition():
            assert monotonic() < end
            self.reactor.serve(0.01)

    def stall(self) -> None:
        """Sends until nothing moves for a while, for the near end does not read."""
        calm = 0
        while calm < 5:
            before = (len(self.left), self.service.sent)
            self.pour()
            self.reactor.serve(0.02)
            calm = calm + 1 if before == (len(self.left), self.service.sent) else 0


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server((HERE, 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for end in (one, other):
        end.setblocking(False)
    return one, other


def opened(reactor: Reactor) -> Ends:
    told = {"id": 1, "version": 1, "protocol": "mixed", "port": 1, "username": "a", "password": "b"}
    record = read_record(told | {"allow_ips": [], "exit": {}, "limits": {}})
    service = Proxy(reactor, record, lambda client: None, Account(1, QuotaUsage()))
    (near, inner), (far, outer) = pair(), pair()
    tunnel = Tunnel(Client(reactor, inner, service, HERE), Connection(reactor, outer))
    tunnel.start()
    return Ends(reactor, service, tunnel, near, far, DATA)


def closed(ends: Ends) -> None:
    ends.near.close()
    ends.far.close()
    ends.tunnel.close()
    ends.reactor.sweep()
