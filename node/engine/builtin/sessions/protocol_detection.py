"""Chooses the protocol of a connection to a mixed port by its first byte, and has TLS go before it where a proxy speaks
TLS."""

from node.engine.builtin.net.connection import IN
from node.engine.builtin.net.reactor import BUFFER
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols import socks4, socks5
from node.engine.builtin.protocols.http_request import could_be_http
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.http_session import HttpSession
from node.engine.builtin.sessions.socks_session import SocksSession
from node.engine.builtin.sessions.tls_handshake import FirstStage, TlsHandshake

_SESSIONS = {
    **{first: HttpSession for first in range(256) if could_be_http(first)},
    socks4.VERSION: SocksSession,
    socks5.VERSION: SocksSession,
}
"""The session for each possible first byte."""


class ProtocolDetection:
    """Waits for the first byte, then starts the session. A connection that begins with any other byte is closed."""

    __slots__ = ("client",)

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def owner(self) -> object:
        return self.client.proxy

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

    def abort(self) -> None:
        self.close()


def _open(client: Client, data: bytes) -> None:
    session = _SESSIONS.get(data[0])
    if session is None:
        client.drop()
    else:
        session(client).start(data)


def open_http(client: Client) -> None:
    HttpSession(client).start()


def open_socks5(client: Client) -> None:
    SocksSession(client).start()


def open_mixed(client: Client) -> None:
    """Detect the protocol; mostly the first bytes have already arrived."""
    try:
        data = client.sock.recv(BUFFER)
    except BlockingIOError:
        ProtocolDetection(client).start()
        return
    if data:
        _open(client, data)
    else:
        client.drop()


def open_secure_http(client: Client) -> None:
    TlsHandshake(client, open_http, None).start()


def open_secure_socks5(client: Client) -> None:
    TlsHandshake(client, open_socks5, None).start()


def open_secure_mixed(client: Client) -> None:
    """Serve clients with and without TLS, which their first byte shows."""
    TlsHandshake(client, open_mixed, _open).start()


_PLAIN_STAGES = {"http": open_http, "socks5": open_socks5, "mixed": open_mixed}
_SECURE_STAGES = {"http": open_secure_http, "socks5": open_secure_socks5, "mixed": open_secure_mixed}


def first_stage(record: Record) -> FirstStage:
    """The stage in which each client of this record begins."""
    return (_SECURE_STAGES if record.tls else _PLAIN_STAGES)[record.protocol]
