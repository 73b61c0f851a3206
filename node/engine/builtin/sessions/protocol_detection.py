"""Tells the protocols of a mixed port apart."""

from node.engine.builtin.net.connection import IN
from node.engine.builtin.net.reactor import BUFFER
from node.engine.builtin.protocols import socks4, socks5
from node.engine.builtin.protocols.http_request import could_be_http
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.http_session import HttpSession
from node.engine.builtin.sessions.socks_session import SocksSession

_SPEAKERS = {
    **{first: HttpSession for first in range(256) if could_be_http(first)},
    socks4.VERSION: SocksSession,
    socks5.VERSION: SocksSession,
}
"""Who goes on with a connection that begins with this byte."""


class ProtocolDetection:
    """Waits for it, then hands over; what begins like none of them is closed."""

    __slots__ = ("client",)

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def owner(self) -> object:
        return self.client.service

    def start(self) -> None:
        client = self.client
        client.enter(self)
        client.reactor.handshakes.add(self, client.reactor.now)
        client.watch(IN)

    def ready(self, fd: int, events: int) -> None:
        client = self.client
        try:
            data = client.sock.recv(BUFFER)
        except BlockingIOError:
            return
        client.reactor.handshakes.discard(self)
        if data:
            _open(client, data)
        else:
            client.drop()

    def expire(self) -> None:
        self.close()

    def close(self) -> None:
        self.client.reactor.handshakes.discard(self)
        self.client.drop()

    def broken(self) -> None:
        self.close()


def _open(client: Client, data: bytes) -> None:
    speaker = _SPEAKERS.get(data[0])
    if speaker is None:
        client.drop()
    else:
        speaker(client).start(data)


def open_http(client: Client) -> None:
    HttpSession(client).start()


def open_socks5(client: Client) -> None:
    SocksSession(client).start()


def open_mixed(client: Client) -> None:
    """Mostly the first bytes are here already."""
    try:
        data = client.sock.recv(BUFFER)
    except BlockingIOError:
        ProtocolDetection(client).start()
        return
    if data:
        _open(client, data)
    else:
        client.drop()


FIRST_STAGES = {"http": open_http, "socks5": open_socks5, "mixed": open_mixed}
