"""The TLS handshake of a client, before anything else is read from it."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable

from node.engine.builtin.net.connection import GONE, IN, OUT
from node.engine.builtin.net.tls import HANDSHAKE_RECORD
from node.engine.builtin.net.tls_socket import CIPHERTEXT, TlsSocket
from node.engine.builtin.sessions.client import Client

FirstStage = Callable[[Client], None]
PlainStage = Callable[[Client, bytes], None]
"""The session of a client that has sent its first bytes in the clear."""


class TlsHandshake:
    """Waits for the first byte, which differs for TLS, and does the handshake, within one time limit.

    `secured` is the stage that follows. A client that speaks no TLS is given to `plain`, or closed without it.
    """

    __slots__ = ("_is_complete", "_plain", "_secured", "client")

    def __init__(self, client: Client, secured: FirstStage, plain: PlainStage | None) -> None:
        self.client = client
        self._secured = secured
        self._plain = plain
        self._is_complete = False

    @property
    def owner(self) -> object:
        return self.client.proxy

    def start(self) -> None:
        """Begin; mostly the first bytes have already arrived."""
        client = self.client
        client.enter(self)
        client.reactor.tls_handshakes.add(self, client.reactor.now)
        self._read()
        self._settle()

    def ready(self, fd: int, events: int) -> None:
        if events & GONE:
            self.close()
            return
        if events & OUT and self.client.tls is not None:
            self.client.tls.push()
        if events & IN:
            self._read()
        self._settle()

    def _read(self) -> None:
        client = self.client
        try:
            data = Socket.recv(client.sock, CIPHERTEXT)
        except BlockingIOError:
            return
        if not data:
            self.close()
        elif client.tls is not None or data[0] == HANDSHAKE_RECORD:
            self._continue(client.tls or self._begin(), data)
        elif self._plain is not None:
            self._release()
            self._plain(client, data)
        else:
            self._refuse("the client speaks no TLS")

    def _begin(self) -> TlsSocket | None:
        client = self.client
        server = client.reactor.tls
        if server is None:
            return None
        client.sock = client.tls = TlsSocket(server, client.sock, Wakeup(client).arm)
        return client.tls

    def _continue(self, tls: TlsSocket | None, data: bytes) -> None:
        if tls is None:
            self._refuse("the node has no certificate")
            return
        try:
            self._is_complete = tls.handshake(data)
        except OSError as error:
            self._refuse(getattr(error, "reason", None) or type(error).__name__)

    def _settle(self) -> None:
        """Go on to the next stage, or wait. A client that does not take answers is not read from."""
        client = self.client
        if client.stage is not self:
            return
        if client.tls is not None and client.tls.unsent:
            client.watch(OUT)
        elif self._is_complete:
            self._release()
            self._secured(client)
        else:
            client.watch(IN)

    def _refuse(self, reason: str) -> None:
        client = self.client
        client.proxy.account.refuse("tls")
        client.reactor.tls_refusals.add(client.proxy.record.id, client.source, reason, client.reactor.now)
        self.close()

    def _release(self) -> None:
        self.client.reactor.tls_handshakes.discard(self)

    def expire(self) -> None:
        self._refuse("the handshake took too long")

    def close(self) -> None:
        self._release()
        self.client.drop()

    def abort(self) -> None:
        self.close()


class Wakeup:
    """Reports to a client's stage what its TLS socket has read ahead, since the kernel reports it no more.

    That happens in the proxy's next turn, and again as long as the stage wants to read and something is left, as the
    kernel does.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def owner(self) -> object:
        return self._client.proxy

    def arm(self) -> None:
        self._client.reactor.defer(self, self._report)

    def _report(self) -> None:
        client = self._client
        tls, stage = client.tls, client.stage
        if tls is None or stage is None or not (tls.readable and client.mask & IN):
            return
        stage.ready(client.fd, IN)
        if client.stage is not None and tls.readable and client.mask & IN:
            self.arm()

    def ready(self, fd: int, events: int) -> None:
        """Does nothing: no events are watched."""

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._client.stage is not None:
            self._client.stage.abort()
