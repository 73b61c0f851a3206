"""An HTTP client's connection: one request after the other, each checked against the proxy's access rules.

Longer than most modules for the reason given in http_exchange; the meaning of a request is decided in http_route.
"""

from asyncio import TimerHandle
from time import time

from node.engine.builtin.net.connection import ENDING, GONE, IN, OUT, Connection
from node.engine.builtin.net.reactor import BUFFER
from node.engine.builtin.net.stage import TimedStage
from node.engine.builtin.net.timeouts import Timeouts
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols.failures import ConnectFailure
from node.engine.builtin.protocols.http_fields import MAX_HEAD, Refusal
from node.engine.builtin.protocols.http_replies import ESTABLISHED, HttpReply, encode, may_stay_open, refusal_reply
from node.engine.builtin.protocols.http_request import Request, blank_size, head_size
from node.engine.builtin.protocols.http_route import Route, RoutedRequest, routed_request, whole_request
from node.engine.builtin.sessions.client import Client, ConnectionKey
from node.engine.builtin.sessions.connector import Connector
from node.engine.builtin.sessions.http_exchange import HttpExchange
from node.engine.builtin.sessions.lingering_close import LingeringClose
from node.engine.builtin.sessions.tunnel import Tunnel

REQUESTS = 16
"""Pipelined requests served before other connections get their turn; a large head counts as several."""
_PER_REQUEST = 4096
"""Bytes of a head that count as one request."""


class HttpSession:
    """Serves requests in order: the next one is parsed after the last response.

    One connection to an origin is kept for the next request, if that can be retried in case the origin has closed the
    connection meanwhile.
    """

    __slots__ = (
        "_authorization",
        "_client",
        "_connector",
        "_delay",
        "_exchange",
        "_failed",
        "_kept",
        "_kept_key",
        "_paused",
        "_proceeding",
        "_record",
        "_request",
        "_route",
        "_seen",
        "_timeout",
        "inbox",
    )

    def __init__(self, client: Client) -> None:
        self.inbox = bytearray()
        """Received bytes that are not consumed yet."""
        self._client = client
        self._kept_key: ConnectionKey | None = None
        self._seen = 0
        self._proceeding = False
        self._paused = False
        """Nothing is read or served until the proxy's turn to continue, or until a failed login may be answered."""
        self._failed = 0
        self._delay: TimerHandle | None = None
        """The timer that answers a failed login."""
        self._request: Request | None = None
        self._route: Route | None = None
        self._connector: Connector | None = None
        self._exchange: HttpExchange | None = None
        self._kept: HttpExchange | None = None
        self._authorization: bytes | None = None
        self._record: Record | None = None
        self._timeout: Timeouts[TimedStage] | None = None

    @property
    def owner(self) -> object:
        return self._client.proxy

    def start(self, data: bytes = b"") -> None:
        """Begin with `data`, which was read before."""
        self._client.enter(self)
        routed = whole_request(data, self._client.reactor.via) if data else None
        if routed is None:
            self.inbox += data
            if not data:
                self._read()
        self.proceed(routed)

    def ready(self, fd: int, events: int) -> None:
        client = self._client
        busy = self._connector or self._exchange or self.inbox or client.pending or client.pipe or self._paused
        if events == IN and not busy:
            self._read_next()
        elif events & GONE:
            self.abort()
        else:
            if events & OUT and client.deliver():
                self.progressed()
            if events & IN:
                self._read()
            elif events & ENDING:
                self._client_ended()
            self.proceed()

    def _read_next(self) -> None:
        """Read between two requests."""
        client = self._client
        try:
            data = client.sock.recv(BUFFER)
        except BlockingIOError:
            return
        if data:
            self._take(data)
        else:
            self.close()

    def _take(self, data: bytes) -> None:
        """Take new data, mostly one complete request, of which nothing has to be stored."""
        routed = whole_request(data, self._client.reactor.via)
        if routed is None:
            self.inbox += data
        elif self._kept is not None and self._reuse_kept(routed, self._kept):
            return
        elif self._timeout is not None:
            self._set_timeout(None)
        self.proceed(routed)

    def _reuse_kept(self, routed: RoutedRequest, kept: HttpExchange) -> bool:
        """Send the request on the kept connection, if it is of the common kind; False if `_serve` has to handle it."""
        client, request, route = self._client, routed.request, routed.route
        if (
            not routed.repeatable
            or not isinstance(route, Route)
            or route.destination != kept.destination
            or request.authorization != self._authorization
            or self._record is not client.proxy.record
            or self._kept_key != client.connection_key
        ):
            return False
        self._request, self._route, self._kept, self._exchange = request, route, None, kept
        kept.start(request, route.head, reused=True)
        if client.mask != IN or not kept.is_quiet:
            self._settle()
        return True

    def completed(self, exchange: HttpExchange) -> None:
        """Wait for the next request: the response was delivered and nothing else is left to do."""
        self._exchange = self._request = self._route = None
        self._kept = exchange
        self._idle()

    def proceed(self, routed: RoutedRequest | None = None) -> None:
        """Serve what can be served now, then wait for more. Part of a long pipeline is deferred."""
        if self._proceeding:
            return
        self._proceeding = True
        client = self._client
        if routed is not None:
            self._serve(routed)
        left = REQUESTS
        while self._exchange is None and self._connector is None and client.stage is self and not self._paused:
            if client.pending or client.pipe:
                break
            if left <= 0 and self.inbox:
                self.defer()
                break
            size = self._serve_next()
            if not size:
                break
            left -= 1 + size // _PER_REQUEST
        self._proceeding = False
        if client.stage is self:
            self._settle()

    def defer(self) -> None:
        """Continue with the inbox in the proxy's next turn."""
        if not self._paused:
            self._paused = True
            self._client.reactor.defer(self, self._run_deferred)

    def _run_deferred(self) -> None:
        if self._delay is not None:
            return
        self._paused = False
        if self._client.stage is self:
            if self._exchange is not None and not self._exchange.upload.done:
                self._exchange.resume_upload()
            self.proceed()

    @property
    def origin(self) -> Connection | None:
        """The connection to the destination, while there is one."""
        exchange = self._exchange or self._kept
        return exchange.origin if exchange is not None else None

    def pending_input(self) -> bytes | None:
        """Received bytes of the next request; None while a request is being served."""
        client = self._client
        served = self._exchange is not None or self._connector is not None or self._delay is not None
        return None if served or client.waiting or client.ended else bytes(self.inbox)

    def restore(self, inbox: bytes) -> None:
        """Continue between two requests, after another process served this client."""
        self._client.enter(self)
        self.inbox += inbox
        self._read()
        self.proceed()

    def connected(self, connection: Connection) -> None:
        self._connector = None
        request, route = self._request, self._route
        if request is None or route is None or not route.head:
            self.tunnel(connection, ESTABLISHED)
        else:
            self._exchange = HttpExchange(self, self._client, connection, route.destination)
            self._exchange.start(request, route.head, reused=False)
            self.proceed()

    def connect_failed(self, failure: ConnectFailure) -> None:
        self._connector = None
        self._client.note_failure(failure)
        self.answer(failure.status, failure.words)
        self.proceed()

    def tunnel(self, origin: Connection, last: bytes) -> None:
        """Become a tunnel; `last` is sent to the client first."""
        early = bytes(self.inbox)
        if self._timeout is not None or self._kept is not None or self._exchange is not None:
            self._release()
        Tunnel(self._client, origin).start(early=early, answer=last)

    def finished(self, exchange: HttpExchange, *, reusable: bool, close: bool) -> None:
        """End the exchange, and keep the origin's connection if it can be used again."""
        last = self._request is not None and not self._request.keep_alive
        self._exchange = self._request = self._route = None
        if not close:
            self._kept = exchange if reusable else None
            return
        if reusable:
            exchange.origin.drop()
        if last and exchange.upload.done and not (self.inbox or self._client.pending or self._client.pipe):
            # The client sends nothing more, so closing cannot cause a reset.
            self.close()
        else:
            self._end(b"")

    def origin_closed(self) -> None:
        """Forget the kept connection: the origin has closed it or sent something unrequested."""
        self._forget_kept()

    def retry(self) -> None:
        """Send the request again on a new connection: the origin had closed the kept one."""
        self._exchange = None
        if self._route is not None:
            self._connect(self._route)

    def answer(self, status: int, reason: str, *, close: bool = False) -> None:
        """Send the proxy's own response to the current request."""
        self._reply(refusal_reply(status, reason), close=close)

    def _reply(self, reply: HttpReply, *, close: bool = False) -> None:
        self._exchange = None
        keep = not close and may_stay_open(self._request, self.inbox)
        text = encode(reply, time(), method=self._request.method if self._request else b"", keep_alive=keep)
        if keep:
            self._client.send(text)
        else:
            self._end(text)

    def expire(self) -> None:
        """Handle the end of a time limit. It is ignored while a request is served, unless the client seems to have
        gone."""
        reactor = self._client.reactor
        if (self._exchange is None and self._connector is None) or self._timeout is reactor.abandoned:
            self.close()
        elif self._timeout is reactor.half_closed:
            self._give_up()
        else:
            self._timeout = None

    def _give_up(self) -> None:
        """Give up a request whose client has closed its side, with a response if that is still possible."""
        if self._client.ended and not (self._exchange is not None and self._exchange.has_begun):
            for connection in self._release():
                connection.reset()
            self.answer(504, "the destination did not answer in time after the client had closed its side", close=True)
        else:
            self.abort()

    def progressed(self) -> None:
        """Restart the time limit of a client that has closed its side: data still moves, so it has not gone."""
        client = self._client
        if self._timeout is client.reactor.half_closed:
            client.proxy.half_closed.pop(client, None)
            client.reactor.half_closed.add(self, client.reactor.now)

    def _client_ended(self) -> None:
        """Handle the half-close of the client. Whether it has gone or waits for its response is unknown (RFC 9112
        §9.5)."""
        client = self._client
        reactor = client.reactor
        if self._exchange is None and self._connector is None:
            self.close()
        elif self._timeout not in (reactor.half_closed, reactor.abandoned):
            client.mark_half_closed(self)
            self._set_timeout(reactor.abandoned if self._is_useless_tunnel else reactor.half_closed)

    @property
    def _is_useless_tunnel(self) -> bool:
        """Whether a tunnel is being opened for which the client can send no data."""
        route = self._route
        return (
            self._connector is not None
            and route is not None
            and not route.head
            and not self.inbox
            and self._client.ended
        )

    def close(self) -> None:
        for connection in self._release():
            connection.drop()
        self._client.drop()

    def abort(self) -> None:
        for connection in self._release():
            connection.reset()
        self._client.reset()

    def _release(self) -> list[Connection]:
        """Release everything but the client. The connections that are returned are still open."""
        self._set_timeout(None)
        if self._delay is not None:
            self._delay.cancel()
            self._delay = None
        self._client.proxy.half_closed.pop(self._client, None)
        if self._connector is not None:
            self._connector.close()
        self._forget_kept()
        origins = [self._exchange.origin] if self._exchange is not None else []
        self._connector = self._exchange = None
        return origins

    def _end(self, last: bytes) -> None:
        for connection in self._release():
            connection.drop()
        LingeringClose(self._client).start(last)

    def _forget_kept(self) -> None:
        if self._kept is not None:
            self._kept.origin.drop()
            self._kept = None

    def _set_timeout(self, timeouts: Timeouts[TimedStage] | None) -> None:
        if timeouts is not self._timeout:
            if self._timeout is not None:
                self._timeout.discard(self)
            if timeouts is not None:
                timeouts.add(self, self._client.reactor.now)
            self._timeout = timeouts

    def _read(self) -> None:
        client = self._client
        if self._paused:
            return
        if self._exchange is not None and not self._exchange.upload.done:
            self._exchange.take()
            self.progressed()
            return
        count = client.receive()
        if count > 0:
            self.inbox += client.reactor.view[:count]
        elif count == 0:
            self._client_ended()

    def _settle(self) -> None:
        client, exchange = self._client, self._exchange
        if exchange is None and not (self.inbox or client.pending or client.pipe or client.ended or self._paused):
            if client.mask != IN:
                client.watch(IN)
            return
        if exchange is not None and not exchange.upload.done:
            origin = exchange.origin
            if self.inbox and not (origin.pending or origin.pipe):
                self.defer()
            reading = not (origin.pending or origin.pipe or client.paused or self._paused)
        else:
            reading = len(self.inbox) <= MAX_HEAD and not self._paused
        mask = OUT if client.pending or client.pipe else 0
        if client.ended:
            self._await_response()
        elif reading:
            mask |= IN
        elif (exchange is not None or self._connector is not None) and self._timeout is not client.reactor.half_closed:
            mask |= ENDING
        if mask != client.mask:
            client.watch(mask)
        if exchange is not None:
            exchange.settle()

    def _await_response(self) -> None:
        """Limit the wait for the response to a client that has closed its side."""
        reactor = self._client.reactor
        waits = self._exchange is not None or self._connector is not None
        if waits and self._timeout not in (reactor.half_closed, reactor.abandoned):
            self._set_timeout(reactor.half_closed)

    def _serve_next(self) -> int:
        """Serve the next request in the inbox. Returns the size of its head; 0 if it is incomplete."""
        inbox = self.inbox
        if not inbox:
            self._wait()
            return 0
        del inbox[: blank_size(inbox)]
        size = head_size(inbox, self._seen) if inbox else 0
        if not size:
            self._wait()
            return 0
        self._seen = 0
        self._set_timeout(None)
        if isinstance(size, Refusal):
            self._refuse(size)
            return 0
        head = bytes(inbox[:size])
        del inbox[:size]
        routed = routed_request(head, self._client.reactor.via)
        if isinstance(routed, Refusal):
            self._refuse(routed)
        else:
            self._serve(routed)
        return size

    def _wait(self) -> None:
        """Wait for the next request, or for the rest of its head."""
        reactor = self._client.reactor
        self._seen = len(self.inbox)
        if self._client.ended:
            self.close()
        elif self.inbox or not self._client.admitted:
            self._set_timeout(reactor.handshakes)
        else:
            self._idle()

    def _idle(self) -> None:
        """Start or restart the time limit between two requests."""
        reactor = self._client.reactor
        if self._timeout is reactor.idle:
            reactor.idle.add(self, reactor.now)
        else:
            self._set_timeout(reactor.idle)

    def _refuse(self, refusal: Refusal) -> None:
        self._request = None
        self.answer(*refusal)

    def _serve(self, routed: RoutedRequest) -> None:
        """Serve a request. A client that was admitted under this version of the proxy, and sends the same credentials,
        is not checked again."""
        self._request = request = routed.request
        if self._record is self._client.proxy.record and request.authorization == self._authorization:
            self._forward(routed)
        elif self._admit(routed.credentials):
            self._record, self._authorization = self._client.proxy.record, request.authorization
            self._forward(routed)

    def _admit(self, credentials: bytes | None) -> bool:
        client, self._record = self._client, None
        if not client.admit(credentials):
            if client.from_allowed_source():
                self._refuse_login(credentials)
            else:
                self.answer(403, "this proxy does not serve your address", close=True)
            return False
        if (refusal := client.take_slot()) is not None:
            self.answer(refusal.status, refusal.reason, close=True)
            return False
        return True

    def _refuse_login(self, credentials: bytes | None) -> None:
        """Refuse a login, with a delay if the source has failed often. A request without credentials has not failed."""
        client, delay, close = self._client, 0.0, False
        if credentials is not None:
            self._failed += 1
            close = self._failed >= client.reactor.shares.failed_logins
            delay = client.delay()
        if delay:
            self._paused = True
            self._delay = client.reactor.loop.call_later(delay, client.reactor.run, self, self._refuse_late, close)
        else:
            self._require_login(close=close)

    def _refuse_late(self, close: bool) -> None:
        self._delay, self._paused = None, False
        self._require_login(close=close)
        self.proceed()

    def _require_login(self, *, close: bool) -> None:
        self.answer(407, "this proxy requires a user name and a password", close=close)

    def _forward(self, routed: RoutedRequest) -> None:
        route = routed.route
        if isinstance(route, Refusal):
            self.answer(*route, close=True)
            return
        if isinstance(route, HttpReply):
            self._reply(route)
            return
        self._route = route
        kept = self._kept
        if kept is None:
            self._connect(route)
        elif self._may_reuse(routed, route, kept):
            self._kept, self._exchange = None, kept
            kept.start(routed.request, route.head, reused=True)
        else:
            self._forget_kept()
            self._connect(route)

    def _may_reuse(self, routed: RoutedRequest, route: Route, kept: HttpExchange) -> bool:
        """Whether this request may use the kept connection.

        A request that cannot be retried goes over a new connection, because the origin may be closing the kept one. A
        login that authenticates the connection (NTLM, Negotiate) has to stay on it, however, or it would never
        complete.
        """
        if kept.destination != route.destination or self._kept_key != self._client.connection_key:
            return False
        return routed.repeatable or (kept.pinned and route.head != b"" and kept.is_silent)

    def _connect(self, route: Route) -> None:
        if route.head:
            self._kept_key = self._client.connection_key
        self._connector = connector = Connector(self._client, self, route.destination.port)
        connector.start(route.destination)
