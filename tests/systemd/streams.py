"""Connections through proxies of the guest that are in use all the time."""

import base64
import os
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

PATIENCE_S = 60.0
"""The guest is emulated, and the machine may be busy."""
BLOCK = 2048
ECHO = "127.0.0.1:7"
"""Where the guest's own echo server is."""


def opened(proxy: Mapping[str, Any]) -> socket.socket:
    """A tunnel through the proxy to the echo server."""
    login = base64.b64encode(f"{proxy['username']}:{proxy['password']}".encode()).decode()
    tunnel = socket.create_connection((proxy["host"], proxy["port"]), timeout=PATIENCE_S)
    tunnel.sendall(f"CONNECT {ECHO} HTTP/1.1\r\nHost: {ECHO}\r\nProxy-Authorization: Basic {login}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = tunnel.recv(1)
        assert byte, f"the proxy closed the connection after {head!r}"
        head += byte
    assert head.startswith(b"HTTP/1.1 200"), head
    return tunnel


def beat(tunnel: socket.socket) -> None:
    """Send random bytes there and back. Raises AssertionError and OSError."""
    sent, back = os.urandom(BLOCK), b""
    tunnel.sendall(sent)
    while len(back) < BLOCK:
        data = tunnel.recv(BLOCK - len(back))
        assert data, "the connection was closed"
        back += data
    assert back == sent


@dataclass
class Stream:
    """One connection, which a thread keeps in use."""

    proxy: Mapping[str, Any]
    blocks: int = 0
    failure: Exception | None = None
    over: Event = field(default_factory=Event)
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        self.tunnel = opened(self.proxy)
        self.thread = Thread(target=self.flow)
        self.thread.start()

    def flow(self) -> None:
        try:
            while not self.over.wait(0.2):
                beat(self.tunnel)
                self.blocks += 1
        except (OSError, AssertionError) as failure:
            self.failure = failure

    def assert_flows(self) -> None:
        """Wait until further bytes have passed. Raises AssertionError if the connection is lost."""
        before, limit = self.blocks, time.monotonic() + PATIENCE_S
        while self.blocks < before + 2:
            assert self.failure is None, f"lost after {self.blocks} blocks: {self.failure!r}"
            assert time.monotonic() < limit, "nothing passes"
            time.sleep(0.05)

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.tunnel.close()


@contextmanager
def streaming(proxies: list[dict[str, Any]]) -> Generator[list[Stream]]:
    """A connection through each proxy. All of them are the same, and in use, when the context is left without error."""
    with ExitStack() as stack:
        streams: list[Stream] = []
        for proxy in proxies:
            streams.append(Stream(proxy))
            stack.callback(streams[-1].close)
        yield streams
        for stream in streams:
            stream.assert_flows()
