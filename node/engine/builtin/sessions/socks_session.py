"""A SOCKS client, of version 4 or 5, from its first byte to its tunnel."""

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
    """`_step` reads the next message and tells whether there was one."""

    __slots__ = ("_client", "_credentials", "_delay", "_dial", "_inbox", "_record", "_step", "_version")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = b""
        self._credentials: bytes | None = None
        self._record: Record | None = None
        self._dial: Connector | None = None
        self._delay: TimerHandle | None = None
        self._step: Callable[[], bool] = self._begin
        self._version = socks5.VERSION

    @property
    def owner(self) -> object:
        return self._client.service

    def start(self, data: bytes = b"") -> None:
        """`data` was read before."""
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
            self._hear()
        elif events & GONE:
            self.close()
            return
        else:
            client.flush()
            if events & IN:
                self._read()
        if self._inbox or client.pending or client.ended or client.mask != IN:
            self._settle()

    def _hear(self) -> None:
        """Mostly it is one whole message."""
        try:
            self._inbox = data = self._client.sock.recv(BUFFER)
        except BlockingIOError:
            return
        if not data:
            self._ended()
        elif self._step() and self._inbox:
            self._advance()

    def reached(self, wire: Connection) -> None:
        early = self._inbox
        self._leave()
        Tunnel(self._client, wire).start(early=early, answer=_GRANTED[self._version])

    def unreached(self, failure: ConnectFailure) -> None:
        self._client.missed(failure)
        old = self._version == socks4.VERSION
        self._end(socks4.reply(socks4.REJECTED) if old else socks5.reply(failure.reply))

    def expire(self) -> None:
        self.close()

    def close(self) -> None:
        if self._dial is not None:
            self._dial.close()
        self._leave()
        self._client.drop()

    def broken(self) -> None:
        self.close()

    def _leave(self) -> None:
        reactor = self._client.reactor
        reactor.handshakes.discard(self)
        if self._client.ended:
            reactor.abandoned.discard(self)
        self._dial = None
        if self._delay is not None:
            self._delay.cancel()
            self._delay = None
        self._step = _nothing

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
        self._ended()

    def _ended(self) -> None:
        """Nobody has a use for a tunnel that nothing goes into; data that came before the end are passed on."""
        client = self._client
        client.ended = True
        if self._dial is None:
            self.close()
        elif not self._inbox:
            client.leave(self)
            client.reactor.abandoned.add(self, client.reactor.now)

    def _advance(self) -> None:
        while self._inbox and self._step():
            pass

    def _settle(self) -> None:
        client = self._client
        if client.stage is self:
            reading = not client.ended and len(self._inbox) < BUFFER
            client.watch((IN if reading else 0) | (OUT if client.pending else 0))

    def _begin(self) -> bool:
        self._version = self._inbox[0]
        self._step = self._ask if self._version == socks4.VERSION else self._greet
        return True

    def _ask(self) -> bool:
        """The whole handshake of version 4."""
        asked = socks4.read_request(self._inbox)
        if asked is None:
            return False
        if isinstance(asked, socks4.SocksRefused):
            return self._end(asked.answer)
        if not self._client.admit(asked.user_id):
            known_place = self._client.from_allowed_source()
            refusal = socks4.reply(socks4.OTHER_USER if known_place else socks4.REJECTED)
            return self._refuse_login(refusal) if asked.user_id and known_place else self._end(refusal)
        if self._client.hold() is not None:
            return self._end(socks4.reply(socks4.REJECTED))
        self._call(asked.size, asked.destination)
        return False

    def _greet(self) -> bool:
        greeting = socks5.read_greeting(self._inbox)
        if greeting is None:
            return False
        if isinstance(greeting, Malformed):
            return self._end(greeting.answer)
        self._inbox = self._inbox[greeting.size :]
        if not self._client.from_allowed_source():
            self._client.service.account.refuse("source")
            return self._end(bytes((socks5.VERSION, socks5.NO_ACCEPTABLE)))
        return self._agree(greeting.methods)

    def _agree(self, methods: bytes) -> bool:
        asked = self._client.service.record.access
        method, choice = _choice(methods, asked.credentials is not None, asked.sessions)
        if method == socks5.NO_ACCEPTABLE:
            self._client.service.account.refuse("login")
            return self._end(choice)
        self._client.send(choice)
        self._step = self._log_in if method == socks5.USER_PASSWORD else self._request
        return True

    def _log_in(self) -> bool:
        login = socks5.read_login(self._inbox)
        if login is None:
            return False
        if isinstance(login, Malformed):
            return self._end(login.answer)
        if not self._client.admit(login.credentials):
            return self._refuse_login(socks5.LOGIN_REFUSED)
        self._inbox = self._inbox[login.size :]
        self._credentials, self._record = login.credentials, self._client.service.record
        self._client.send(socks5.LOGIN_ACCEPTED)
        self._step = self._request
        return True

    def _request(self) -> bool:
        """The right to be here is looked at once more if the proxy has changed since the login."""
        wanted = socks5.read_request(self._inbox)
        if wanted is None:
            return False
        if isinstance(wanted, Malformed):
            return self._end(wanted.answer)
        if self._record is not self._client.service.record and not self._client.admit(self._credentials):
            return self._end(socks5.reply(socks5.NOT_ALLOWED))
        if self._client.hold() is not None:
            return self._end(socks5.reply(socks5.NOT_ALLOWED))
        if wanted.udp:
            return self._associate(wanted.destination)
        self._call(wanted.size, wanted.destination)
        return False

    def _associate(self, announced: Destination) -> bool:
        association = associate(self._client, announced)
        if isinstance(association, ConnectFailure):
            self.unreached(association)
            return False
        self._leave()
        association.start()
        return False

    def _call(self, size: int, destination: Destination) -> None:
        """What stands behind the request is for the destination."""
        self._inbox = self._inbox[size:]
        self._step = _nothing
        client = self._client
        client.reactor.handshakes.discard(self)
        self._dial = Connector(client, self, destination.port)
        self._dial.start(destination)

    def _refuse_login(self, answer: bytes) -> bool:
        """At once, unless the source has failed often."""
        client = self._client
        delay = client.delay()
        if not delay:
            return self._end(answer)
        self._step = _nothing
        self._delay = client.reactor.loop.call_later(delay, client.reactor.run, self, self._refuse_late, answer)
        return False

    def _refuse_late(self, answer: bytes) -> None:
        self._end(answer)

    def _end(self, answer: bytes) -> bool:
        self._leave()
        LingeringClose(self._client).start(answer)
        return False


@lru_cache(_REMEMBERED)
def _choice(methods: bytes, needed: bool, welcome: bool) -> tuple[int, bytes]:
    """The method, and how it is told."""
    method = socks5.choose_method(methods, login_needed=needed, login_welcome=welcome)
    return method, bytes((socks5.VERSION, method))


def _nothing() -> bool:
    return False
