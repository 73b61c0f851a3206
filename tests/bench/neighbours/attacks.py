"""Hostile clients of one proxy, run as a process: python -m tests.bench.neighbours.attacks JSON

The standard library is all it imports. Every attack has a bounded number of connections and a bounded time; what it
sends goes to this machine alone. The last line that it prints says how much it did.
"""

import base64
import json
import resource
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

PIECE = 262_144
LINGER_0 = b"\1\0\0\0\0\0\0\0"
IP_BIND_ADDRESS_NO_PORT = 24
PER_PROCESS = 9_000


@dataclass(frozen=True)
class Aim:
    """Where the proxy and the hostile origin are, and who attacks how long with how many connections."""

    host: str
    port: int
    origin: int
    username: str
    password: str
    kind: str
    connections: int
    seconds: float
    source: str = ""

    @property
    def login(self) -> bytes:
        token = base64.b64encode(f"{self.username}:{self.password}".encode())
        return b"Proxy-Authorization: Basic " + token + b"\r\n"

    @property
    def socks_login(self) -> bytes:
        name, word = self.username.encode(), self.password.encode()
        return b"\5\1\2\1" + bytes((len(name),)) + name + bytes((len(word),)) + word

    def get(self, path: bytes) -> bytes:
        return b"GET http://127.0.0.1:%d/%b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (self.origin, path, self.login)

    def post(self) -> bytes:
        head = b"POST http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n%bTransfer-Encoding: chunked\r\n\r\n"
        return head % (self.origin, self.login)

    def tunnel(self) -> bytes:
        return b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n%b\r\n" % (self.origin, self.login)


@dataclass(frozen=True)
class Flood:
    """What each connection sends first, what it sends for ever, how much at once, and how often it reads."""

    first: bytes
    unit: bytes
    at_once: int = 1 << 20
    reads: bool = True
    pause_s: float = 0.0


NO_LOGIN = b"GET http://a/ HTTP/1.1\r\n\r\n"


def floods(aim: Aim) -> dict[str, Flood]:
    """By kind."""
    login_delays = b"".join(
        b"GET http://a/ HTTP/1.1\r\nProxy-Authorization: Basic %b\r\n\r\n" % base64.b64encode(b"u:%d" % number)
        for number in range(500)
    )
    line = b"GET http://a/ HTTP/1.1\r\n"
    return {
        "chunks": Flood(aim.post(), b"1\r\nX\r\n" * 10_000),
        "chunk extensions": Flood(aim.post(), b"1;x\r\nX\r\n" * 8_000),
        "requests without login": Flood(b"", NO_LOGIN * 2_500),
        "wrong logins": Flood(b"", login_delays),
        "many lines": Flood(b"", line + b"a:\r\n" * 16_300 + b"\r\n"),
        "many members": Flood(b"", line + b"Connection: " + b"a," * 32_000 + b"\r\n\r\n"),
        "long heads": Flood(b"", line + b"X: " + b"x" * 65_000 + b"\r\n\r\n"),
        "heads byte by byte": Flood(b"", line + b"X: " + b"x" * 60_000 + b"\r\n\r\n", at_once=1),
        "empty lines": Flood(b"", b"\r\n" * 32_768),
        "requests with login": Flood(b"", aim.get(b"ok") * 500),
        "tunnels byte by byte": Flood(aim.tunnel(), b"x" * 100, at_once=1),
        "full tunnels": Flood(aim.tunnel(), b"x" * PIECE),
        "socks greetings": Flood(b"", b"\5\1\2\1\1a\1b"),
        "socks byte by byte": Flood(b"", b"\5\xff" + b"\2" * 254, at_once=1),
        "after the last answer": Flood(b"POST http://a/ HTTP/9.9\r\n\r\n", b"x" * PIECE),
        "slow readers": Flood(aim.get(b"big"), b"", reads=False),
        "chunks of an origin": Flood(aim.get(b"chunks"), b""),
        "lines of an origin": Flood(b"", aim.get(b"lines") * 50),
        "interim responses": Flood(b"", aim.get(b"interim") * 50),
    }


class Connections:
    """Kept at a number: one that ends is opened again, at most a few thousand times a second."""

    def __init__(self, aim: Aim, flood: Flood) -> None:
        self.aim = aim
        self.flood = flood
        self.at: dict[socket.socket, int] = {}
        self.sent = self.opened = 0

    def open(self) -> None:
        with suppress(OSError):
            made = socket.create_connection((self.aim.host, self.aim.port), 2)
            if self.flood.at_once == 1:
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.sendall(self.flood.first)
            made.setblocking(False)
            self.at[made] = 0
            self.opened += 1

    def end(self, made: socket.socket) -> None:
        self.at.pop(made, None)
        made.close()

    def read(self, made: socket.socket) -> None:
        with suppress(BlockingIOError):
            if not made.recv(PIECE):
                raise ConnectionError

    def write(self, made: socket.socket) -> None:
        unit, at = self.flood.unit, self.at[made]
        with suppress(BlockingIOError):
            gone = made.send(memoryview(unit)[at : at + self.flood.at_once])
            self.sent += gone
            self.at[made] = (at + gone) % len(unit)

    def round(self) -> None:
        while len(self.at) < self.aim.connections:
            before = len(self.at)
            self.open()
            if len(self.at) == before:
                time.sleep(0.01)
                return
        every = list(self.at)
        readable, writable, _ = select.select(
            every if self.flood.reads else (), every if self.flood.unit else (), (), 0.1
        )
        for made, act in [(each, self.read) for each in readable] + [(each, self.write) for each in writable]:
            if made in self.at:
                try:
                    act(made)
                except OSError:
                    self.end(made)


def flooded(aim: Aim) -> str:
    """Sends for ever what the kind says."""
    connections = Connections(aim, floods(aim)[aim.kind])
    until = time.monotonic() + aim.seconds
    while time.monotonic() < until:
        connections.round()
    return f"{connections.sent / aim.seconds / 1e6:.2f} MB/s, {connections.opened / aim.seconds:.0f} connections/s"


def stormed(aim: Aim) -> str:
    """Connects and resets."""
    until, count = time.monotonic() + aim.seconds, 0
    while time.monotonic() < until:
        opened: list[socket.socket] = []
        for _ in range(aim.connections):
            made = socket.socket()
            made.setblocking(False)
            made.connect_ex((aim.host, aim.port))
            opened.append(made)
        for made in opened:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            made.close()
        count += len(opened)
    return f"{count / aim.seconds:.0f} connections/s"


def half_open(aim: Aim) -> str:
    """Many connections of one source address that say nothing; one that is closed is not opened again."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    until, opened = time.monotonic() + aim.seconds, list[socket.socket]()
    while len(opened) < min(aim.connections, hard - 100) and time.monotonic() < until:
        made = socket.socket()
        made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        made.bind((aim.source, 0))
        made.settimeout(2)
        with suppress(OSError):
            made.connect((aim.host, aim.port))
        opened.append(made)
    time.sleep(max(0.0, until - time.monotonic()))
    return f"{len(opened)} connections"


def datagrams(aim: Aim) -> str:
    """UDP associations, each flooded with datagrams that are answered."""
    ways = [associated(aim) for _ in range(aim.connections)]
    head = b"\0\0\0\1" + socket.inet_aton("127.0.0.1") + aim.origin.to_bytes(2)
    until, count = time.monotonic() + aim.seconds, 0
    while time.monotonic() < until:
        for _, way in ways:
            for _ in range(50):
                with suppress(OSError):
                    way.send(head + b"x" * 10)
                    count += 1
    return f"{count / aim.seconds:.0f} datagrams/s"


def associated(aim: Aim) -> tuple[socket.socket, socket.socket]:
    """The connection that keeps the association, and the socket for its datagrams."""
    keeper = socket.create_connection((aim.host, aim.port), 5)
    keeper.sendall(aim.socks_login + b"\5\3\0\1\0\0\0\0\0\0")
    answer = b""
    while len(answer) < 14:
        answer += keeper.recv(64)
    way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    way.connect((socket.inet_ntoa(answer[8:12]), int.from_bytes(answer[12:14])))
    way.setblocking(False)
    return keeper, way


ACTS: dict[str, Callable[[Aim], str]] = {
    "connects and resets": stormed,
    "half-open": half_open,
    "datagrams": datagrams,
}


def main() -> None:
    told: dict[str, Any] = json.loads(sys.argv[1])
    aim = Aim(**told)
    print(ACTS.get(aim.kind, flooded)(aim), flush=True)


if __name__ == "__main__":
    main()
