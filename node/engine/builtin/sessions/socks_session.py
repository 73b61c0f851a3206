"""A SOCKS4 or SOCKS5 client from its first byte to its tunnel.

Longer than most modules because both versions go through the same login, limits, destination and connect in one object.
"""

from asyncio import TimerHandle
from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType

from node.engine.builtin.net.connection import GONE, IN, OUT, Connection
from node.engine.builtin.net.reactor import BUFFER
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols import socks4, socks5
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure
from node.engine.builtin.protocols.socks5 import Malformed
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.connector import Connector
from node.engine.builtin.sessions.lingering_close import LingeringClose
from node.engine.builtin.sessions.tunnel import Tunnel
from node.engine.builtin.sessions.udp_associate import associate

_REMEMBERED = 256
_GRANTED = MappingProxyType(
    {socks4.VERSION: socks4.reply(socks4.GRANTED), socks5.VERSION: socks5.reply(socks5.SUCCEEDED)}
)


class SocksSession:
    """Reads the messages of a handshake one after the other. `_step` reads the next one and returns whether it was
    complete."""

    __slots__ = ("_client", "_connector", "_credentials", "_delay", "_inbox", "_record", "_step", "_version")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = b""
        self._credentials: bytes | None = None
        self._record: Record | None = None
        self._connector: Connector | None = None
        self._delay: TimerHandle | None = None
        self._step: Callable[[], bool] = self._detect_version
        self._version = socks5.VERSION

    @property
    def owner(self) -> object:
        return self._client.proxy

    def start(self, data: bytes = b"") -> None:
        """Begin with `data`, which was read before."""
        client = self._client
        client.enter(self)
        client.reactor.handshakes.add(self, client.reactor.now)
        if data:
            self._inbox = data
            self._advance()
        else:
            self._read()
        self._settle()

    def ready(self, fd: int, events: int) -> None:
        client = self._client
        if events == IN and not (client.pending or self._inbox):
            self._read_message()
        elif events & GONE:
            self.close()
            return
        else:
            client.flush()
            if events & IN:
                self._read()
        if self._inbox or client.pending or client.ended or client.mask != IN:
            self._settle()

    def _read_message(self) -> None:
        """Read new data, mostly one complete message."""
        try:
            self._inbox = data = self._client.sock.recv(BUFFER)
        except BlockingIOError:
            return
        if not data:
            self._client_ended()
        elif self._step() and self._inbox:
            self._advance()

    def connected(self, connection: Connection) -> None:
        early = self._inbox
        self._release()
        Tunnel(self._client, connection).start(early=early, answer=_GRANTED[self._version])

    def connect_failed(self, failure: ConnectFailure) -> None:
        self._client.note_failure(failure)
        old = self._version == socks4.VERSION
        self._end(socks4.reply(socks4.REJECTED) if old else socks5.reply(failure.reply))

    def expire(self) -> None:
        self.close()

    def close(self) -> None:
        if self._connector is not None:
            self._connector.close()
        self._release()
        self._client.drop()

    def abort(self) -> None:
        self.close()

    def _release(self) -> None:
        reactor = self._client.reactor
        reactor.handshakes.discard(self)
        if self._client.ended:
            reactor.abandoned.discard(self)
        self._connector = None
        if self._delay is not None:
            self._delay.cancel()
            self._delay = None
        self._step = _ignore

    def _read(self) -> None:
        client = self._client
        try:
            data = client.sock.recv(BUFFER)
        except BlockingIOError:
            return
        if data:
            self._inbox = self._inbox + data if self._inbox else data
            self._advance()
            return
        self._client_ended()

    def _client_ended(self) -> None:
        """Handle the half-close of the client. A tunnel without data from the client is useless; data that arrived
        before is forwarded."""
        client = self._client
        client.ended = True
        if self._connector is None:
            self.close()
        elif not self._inbox:
            client.mark_half_closed(self)
            client.reactor.abandoned.add(self, client.reactor.now)

    def _advance(self) -> None:
        while self._inbox and self._step():
            pass

    def _settle(self) -> None:
        client = self._client
        if client.stage is self:
            reading = not client.ended and len(self._inbox) < BUFFER
            client.watch((IN if reading else 0) | (OUT if client.pending else 0))

    def _detect_version(self) -> bool:
        self._version = self._inbox[0]
        self._step = self._read_socks4 if self._version == socks4.VERSION else self._read_greeting
        return True

    def _read_socks4(self) -> bool:
        """Read the request, which is the whole handshake of SOCKS4."""
        request = socks4.read_request(self._inbox)
        if request is None:
            return False
        if isinstance(request, socks4.SocksRefused):
            return self._end(request.answer)
        if not self._client.admit(request.user_id):
            from_allowed_source = self._client.from_allowed_source()
            refusal = socks4.reply(socks4.OTHER_USER if from_allowed_source else socks4.REJECTED)
            return self._refuse_login(refusal) if request.user_id and from_allowed_source else self._end(refusal)
        if self._client.take_slot() is not None:
            return self._end(socks4.reply(socks4.REJECTED))
        self._connect(request.size, request.destination)
        return False

    def _read_greeting(self) -> bool:
        greeting = socks5.read_greeting(self._inbox)
        if greeting is None:
            return False
        if isinstance(greeting, Malformed):
            return self._end(greeting.answer)
        self._inbox = self._inbox[greeting.size :]
        if not self._client.from_allowed_source():
            self._client.proxy.account.refuse("source")
            return self._end(bytes((socks5.VERSION, socks5.NO_ACCEPTABLE)))
        return self._choose_method(greeting.methods)

    def _choose_method(self, methods: bytes) -> bool:
        request = self._client.proxy.record.access
        method, choice = _choice(methods, request.credentials is not None, request.sessions)
        if method == socks5.NO_ACCEPTABLE:
            self._client.proxy.account.refuse("login")
            return self._end(choice)
        self._client.send(choice)
        self._step = self._read_login if method == socks5.USER_PASSWORD else self._read_request
        return True

    def _read_login(self) -> bool:
        login = socks5.read_login(self._inbox)
        if login is None:
            return False
        if isinstance(login, Malformed):
            return self._end(login.answer)
        if not self._client.admit(login.credentials):
            return self._refuse_login(socks5.LOGIN_REFUSED)
        self._inbox = self._inbox[login.size :]
        self._credentials, self._record = login.credentials, self._client.proxy.record
        self._client.send(socks5.LOGIN_ACCEPTED)
        self._step = self._read_request
        return True

    def _read_request(self) -> bool:
        """Read the request. Access is checked again if the proxy has changed since the login."""
        request = socks5.read_request(self._inbox)
        if request is None:
            return False
        if isinstance(request, Malformed):
            return self._end(request.answer)
        if self._record is not self._client.proxy.record and not self._client.admit(self._credentials):
            return self._end(socks5.reply(socks5.NOT_ALLOWED))
        if self._client.take_slot() is not None:
            return self._end(socks5.reply(socks5.NOT_ALLOWED))
        if request.udp:
            return self._associate(request.destination)
        self._connect(request.size, request.destination)
        return False

    def _associate(self, announced: Destination) -> bool:
        association = associate(self._client, announced)
        if isinstance(association, ConnectFailure):
            self.connect_failed(association)
            return False
        self._release()
        association.start()
        return False

    def _connect(self, size: int, destination: Destination) -> None:
        """Connect; bytes after the request are for the destination."""
        self._inbox = self._inbox[size:]
        self._step = _ignore
        client = self._client
        client.reactor.handshakes.discard(self)
        self._connector = Connector(client, self, destination.port)
        self._connector.start(destination)

    def _refuse_login(self, answer: bytes) -> bool:
        """Refuse a login, with a delay if the source has failed often."""
        client = self._client
        delay = client.delay()
        if not delay:
            return self._end(answer)
        self._step = _ignore
        self._delay = client.reactor.loop.call_later(delay, client.reactor.run, self, self._refuse_late, answer)
        return False

    def _refuse_late(self, answer: bytes) -> None:
        self._end(answer)

    def _end(self, answer: bytes) -> bool:
        self._release()
        LingeringClose(self._client).start(answer)
        return False


@lru_cache(_REMEMBERED)
def _choice(methods: bytes, needed: bool, useful: bool) -> tuple[int, bytes]:
    """The chosen method and the message that announces it."""
    method = socks5.choose_method(methods, login_needed=needed, login_welcome=useful)
    return method, bytes((socks5.VERSION, method))


def _ignore() -> bool:
    return False
