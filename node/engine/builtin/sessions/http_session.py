"""An HTTP client's connection: one request after the other, each with its own right to be here.

Longer than others for the reason that `exchange` gives; what a request asks for is decided in http_route.
"""

from asyncio import TimerHandle
from time import time

from node.engine.builtin.net.connection import ENDING, GONE, IN, OUT, Connection
from node.engine.builtin.net.reactor import BUFFER, TimedStage
from node.engine.builtin.net.timeouts import Timeouts
from node.engine.builtin.policy.records import Record
from node.engine.builtin.protocols.failures import ConnectFailure
from node.engine.builtin.protocols.http_fields import MAX_HEAD, Refusal
from node.engine.builtin.protocols.http_replies import ESTABLISHED, HttpReply, encode, may_stay_open, refusal_reply
from node.engine.builtin.protocols.http_request import Request, blank_size, head_size
from node.engine.builtin.protocols.http_route import Route, RoutedRequest, routed_request, whole_request
from node.engine.builtin.sessions.client import Client, Departure
from node.engine.builtin.sessions.connector import Connector
from node.engine.builtin.sessions.http_exchange import HttpExchange
from node.engine.builtin.sessions.lingering_close import LingeringClose
from node.engine.builtin.sessions.tunnel import Tunnel

REQUESTS = 16
"""Requests of a pipeline that are read before other connections have their turn; a large head counts as several."""
_PER_REQUEST = 4096
"""Bytes of a head that count as one request."""


class HttpSession:
    """Requests are served in their order: the next one is read when the last is answered.

    `inbox` is what the client sent and nobody has taken yet. One connection to an origin is kept for the next request,
    if that can be sent again should the origin have given it up meanwhile. `_paused`: nothing is read or
    served, until it is the turn of this proxy to go on with the inbox, or time to answer a failed login (`_delay`).
    """

    __slots__ = (
        "_authorization",
        "_client",
        "_delay",
        "_departure",
        "_dial",
        "_exchange",
        "_failed",
        "_kept",
        "_paused",
        "_proceeding",
        "_record",
        "_request",
        "_route",
        "_seen",
        "_timed",
        "inbox",
    )

    def __init__(self, client: Client) -> None:
        self.inbox = bytearray()
        self._client = client
        self._departure: Departure | None = None
        self._seen = 0
        self._proceeding = False
        self._paused = False
        self._failed = 0
        self._delay: TimerHandle | None = None
        self._request: Request | None = None
        self._route: Route | None = None
        self._dial: Connector | None = None
        self._exchange: HttpExchange | None = None
        self._kept: HttpExchange | None = None
        self._authorization: bytes | None = None
        self._record: Record | None = None
        self._timed: Timeouts[TimedStage] | None = None

    @property
    def owner(self) -> object:
        return self._client.service

    def start(self, data: bytes = b"") -> None:
        """`data` was read before."""
        self._client.enter(self)
        order = whole_request(data, self._client.reactor.via) if data else None
        if order is None:
            self.inbox += data
            if not data:
                self._read()
        self.proceed(order)

    def ready(self, fd: int, events: int) -> None:
        client = self._client
        busy = self._dial or self._exchange or self.inbox or client.pending or client.pipe or self._paused
        if events == IN and not busy:
            self._read_next()
        elif events & GONE:
            self.broken()
        else:
            if events & OUT and client.deliver():
                self.moved()
            if events & IN:
                self._read()
            elif events & ENDING:
                self._left()
            self.proceed()

    def _read_next(self) -> None:
        """Between two requests."""
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
        """Mostly it is one whole request, and nothing has to be kept."""
        order = whole_request(data, self._client.reactor.via)
        if order is None:
            self.inbox += data
        elif self._kept is not None and self._follows(order, self._kept):
            return
        elif self._timed is not None:
            self._time(None)
        self.proceed(order)

    def _follows(self, order: RoutedRequest, kept: HttpExchange) -> bool:
        """Whether this request could be sent right after the last one, as most are; `_serve` does what others need."""
        client, request, way = self._client, order.request, order.route
        if (
            not order.repeatable
            or not isinstance(way, Route)
            or way.destination != kept.destination
            or request.authorization != self._authorization
            or self._record is not client.service.record
            or self._departure != client.departure
        ):
            return False
        self._request, self._route, self._kept, self._exchange = request, way, None, kept
        kept.start(request, way.head, reused=True)
        if client.mask != IN or not kept.calm:
            self._settle()
        return True

    def at_rest(self, exchange: HttpExchange) -> None:
        """The response is with the client as a whole, and nothing else is to be done: the next request may come."""
        self._exchange = self._request = self._route = None
        self._kept = exchange
        self._idle()

    def proceed(self, order: RoutedRequest | None = None) -> None:
        """Serves what can be served now, then waits for what is missing. Of a long pipeline a part is served, the rest
        is left over."""
        if self._proceeding:
            return
        self._proceeding = True
        client = self._client
        if order is not None:
            self._serve(order)
        left = REQUESTS
        while self._exchange is None and self._dial is None and client.stage is self and not self._paused:
            if client.pending or client.pipe:
                break
            if left <= 0 and self.inbox:
                self.leave_over()
                break
            size = self._serve_next()
            if not size:
                break
            left -= 1 + size // _PER_REQUEST
        self._proceeding = False
        if client.stage is self:
            self._settle()

    def leave_over(self) -> None:
        """Go on with the inbox when it is the turn of this proxy."""
        if not self._paused:
            self._paused = True
            self._client.reactor.later(self, self._take_turn)

    def _take_turn(self) -> None:
        if self._delay is not None:
            return
        self._paused = False
        if self._client.stage is self:
            if self._exchange is not None and not self._exchange.upload.done:
                self._exchange.take_kept()
            self.proceed()

    @property
    def origin(self) -> Connection | None:
        """The connection to the destination, while there is one."""
        exchange = self._exchange or self._kept
        return exchange.origin if exchange is not None else None

    def between_requests(self) -> bytes | None:
        """What the client has sent of its next request; None while one is being served."""
        client = self._client
        served = self._exchange is not None or self._dial is not None or self._delay is not None
        return None if served or client.waiting or client.ended else bytes(self.inbox)

    def go_on(self, inbox: bytes) -> None:
        """Between two requests, where another process was with this client."""
        self._client.enter(self)
        self.inbox += inbox
        self._read()
        self.proceed()

    def reached(self, wire: Connection) -> None:
        self._dial = None
        request, way = self._request, self._route
        if request is None or way is None or not way.head:
            self.tunnel(wire, ESTABLISHED)
        else:
            self._exchange = HttpExchange(self, self._client, wire, way.destination)
            self._exchange.start(request, way.head, reused=False)
            self.proceed()

    def unreached(self, failure: ConnectFailure) -> None:
        self._dial = None
        self._client.missed(failure)
        self.answer(failure.status, failure.words)
        self.proceed()

    def tunnel(self, origin: Connection, last: bytes) -> None:
        """No more HTTP from here on."""
        early = bytes(self.inbox)
        if self._timed is not None or self._kept is not None or self._exchange is not None:
            self._leave()
        Tunnel(self._client, origin).start(early=early, answer=last)

    def answered(self, exchange: HttpExchange, *, reusable: bool, close: bool) -> None:
        """The exchange is over; the origin's connection is kept if it can be used again."""
        last = self._request is not None and not self._request.keep_alive
        self._exchange = self._request = self._route = None
        if not close:
            self._kept = exchange if reusable else None
            return
        if reusable:
            exchange.origin.drop()
        if last and exchange.upload.done and not (self.inbox or self._client.pending or self._client.pipe):
            # The client sends nothing more, so a close cannot turn into a reset.
            self.close()
        else:
            self._end(b"")

    def deserted(self) -> None:
        """The origin has closed the kept connection, or said something unasked."""
        self._forget_kept()

    def send_again(self) -> None:
        """The origin had given up the kept connection: the same request on a fresh one."""
        self._exchange = None
        if self._route is not None:
            self._call(self._route)

    def answer(self, status: int, reason: str, *, close: bool = False) -> None:
        """The proxy's own answer to the request at hand."""
        self._say(refusal_reply(status, reason), close=close)

    def _say(self, said: HttpReply, *, close: bool = False) -> None:
        self._exchange = None
        keep = not close and may_stay_open(self._request, self.inbox)
        text = encode(said, time(), method=self._request.method if self._request else b"", keep_alive=keep)
        if keep:
            self._client.send(text)
        else:
            self._end(text)

    def expire(self) -> None:
        """While a request is served its time may run on, and means nothing, unless the client seems to have gone."""
        reactor = self._client.reactor
        if (self._exchange is None and self._dial is None) or self._timed is reactor.abandoned:
            self.close()
        elif self._timed is reactor.half_closed:
            self._give_up()
        else:
            self._timed = None

    def _give_up(self) -> None:
        """Whoever still listens is told, as far as that can be."""
        if self._client.ended and not (self._exchange is not None and self._exchange.begun):
            for wire in self._leave():
                wire.reset()
            self.answer(504, "the destination did not answer in time after the client had closed its side", close=True)
        else:
            self.broken()

    def moved(self) -> None:
        """Something goes on: a client that has closed its side has not gone."""
        client = self._client
        if self._timed is client.reactor.half_closed:
            client.service.leaving.pop(client, None)
            client.reactor.half_closed.add(self, client.reactor.now)

    def _left(self) -> None:
        """The client has closed its side. Whether it has gone or waits for its answer does not show (RFC 9112 §9.5)."""
        client = self._client
        reactor = client.reactor
        if self._exchange is None and self._dial is None:
            self.close()
        elif self._timed not in (reactor.half_closed, reactor.abandoned):
            client.leave(self)
            self._time(reactor.abandoned if self._leads_nowhere else reactor.half_closed)

    @property
    def _leads_nowhere(self) -> bool:
        """Whether a tunnel is dialled that nothing will go into."""
        way = self._route
        return self._dial is not None and way is not None and not way.head and not self.inbox and self._client.ended

    def close(self) -> None:
        for wire in self._leave():
            wire.drop()
        self._client.drop()

    def broken(self) -> None:
        for wire in self._leave():
            wire.reset()
        self._client.reset()

    def _leave(self) -> list[Connection]:
        """Lets go of everything but the client; what is given back is still open."""
        self._time(None)
        if self._delay is not None:
            self._delay.cancel()
            self._delay = None
        self._client.service.leaving.pop(self._client, None)
        if self._dial is not None:
            self._dial.close()
        self._forget_kept()
        origins = [self._exchange.origin] if self._exchange is not None else []
        self._dial = self._exchange = None
        return origins

    def _end(self, last: bytes) -> None:
        for wire in self._leave():
            wire.drop()
        LingeringClose(self._client).start(last)

    def _forget_kept(self) -> None:
        if self._kept is not None:
            self._kept.origin.drop()
            self._kept = None

    def _time(self, deadlines: Timeouts[TimedStage] | None) -> None:
        if deadlines is not self._timed:
            if self._timed is not None:
                self._timed.discard(self)
            if deadlines is not None:
                deadlines.add(self, self._client.reactor.now)
            self._timed = deadlines

    def _read(self) -> None:
        client = self._client
        if self._paused:
            return
        if self._exchange is not None and not self._exchange.upload.done:
            self._exchange.take()
            self.moved()
            return
        count = client.receive()
        if count > 0:
            self.inbox += client.reactor.view[:count]
        elif count == 0:
            self._left()

    def _settle(self) -> None:
        client, exchange = self._client, self._exchange
        if exchange is None and not (self.inbox or client.pending or client.pipe or client.ended or self._paused):
            if client.mask != IN:
                client.watch(IN)
            return
        if exchange is not None and not exchange.upload.done:
            origin = exchange.origin
            if self.inbox and not (origin.pending or origin.pipe):
                self.leave_over()
            reading = not (origin.pending or origin.pipe or client.held or self._paused)
        else:
            reading = len(self.inbox) <= MAX_HEAD and not self._paused
        mask = OUT if client.pending or client.pipe else 0
        if client.ended:
            self._wait_on()
        elif reading:
            mask |= IN
        elif (exchange is not None or self._dial is not None) and self._timed is not client.reactor.half_closed:
            mask |= ENDING
        if mask != client.mask:
            client.watch(mask)
        if exchange is not None:
            exchange.settle()

    def _wait_on(self) -> None:
        """For the answer to the next request of a client that has closed its side."""
        reactor = self._client.reactor
        waits = self._exchange is not None or self._dial is not None
        if waits and self._timed not in (reactor.half_closed, reactor.abandoned):
            self._time(reactor.half_closed)

    def _serve_next(self) -> int:
        """Bytes of the request's head; 0 when there was no whole request."""
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
        self._time(None)
        if isinstance(size, Refusal):
            self._refuse(size)
            return 0
        head = bytes(inbox[:size])
        del inbox[:size]
        order = routed_request(head, self._client.reactor.via)
        if isinstance(order, Refusal):
            self._refuse(order)
        else:
            self._serve(order)
        return size

    def _wait(self) -> None:
        """For a request to begin, or for the rest of its head."""
        reactor = self._client.reactor
        self._seen = len(self.inbox)
        if self._client.ended:
            self.close()
        elif self.inbox or not self._client.admitted:
            self._time(reactor.handshakes)
        else:
            self._idle()

    def _idle(self) -> None:
        """From now on."""
        reactor = self._client.reactor
        if self._timed is reactor.idle:
            reactor.idle.add(self, reactor.now)
        else:
            self._time(reactor.idle)

    def _refuse(self, refusal: Refusal) -> None:
        self._request = None
        self.answer(*refusal)

    def _serve(self, order: RoutedRequest) -> None:
        """Who was let in under this version of the proxy, and says the same again, need not be looked at again."""
        self._request = request = order.request
        if self._record is self._client.service.record and request.authorization == self._authorization:
            self._pass_on(order)
        elif self._let_in(order.credentials):
            self._record, self._authorization = self._client.service.record, request.authorization
            self._pass_on(order)

    def _let_in(self, credentials: bytes | None) -> bool:
        client, self._record = self._client, None
        if not client.admit(credentials):
            if client.from_allowed_source():
                self._refuse_login(credentials)
            else:
                self.answer(403, "this proxy does not serve your address", close=True)
            return False
        if (hold := client.hold()) is not None:
            self.answer(hold.status, hold.reason, close=True)
            return False
        return True

    def _refuse_login(self, credentials: bytes | None) -> None:
        """At once, unless the source has failed often. A request without a login has not failed: it asks for one."""
        client, delay, close = self._client, 0.0, False
        if credentials is not None:
            self._failed += 1
            close = self._failed >= client.reactor.bounds.failed_logins
            delay = client.delay()
        if delay:
            self._paused = True
            self._delay = client.reactor.loop.call_later(delay, client.reactor.run, self, self._refuse_late, close)
        else:
            self._ask_for_login(close=close)

    def _refuse_late(self, close: bool) -> None:
        self._delay, self._paused = None, False
        self._ask_for_login(close=close)
        self.proceed()

    def _ask_for_login(self, *, close: bool) -> None:
        self.answer(407, "this proxy wants a user name and a password", close=close)

    def _pass_on(self, order: RoutedRequest) -> None:
        way = order.route
        if isinstance(way, Refusal):
            self.answer(*way, close=True)
            return
        if isinstance(way, HttpReply):
            self._say(way)
            return
        self._route = way
        kept = self._kept
        if kept is None:
            self._call(way)
        elif self._may_follow(order, way, kept):
            self._kept, self._exchange = None, kept
            kept.start(order.request, way.head, reused=True)
        else:
            self._forget_kept()
            self._call(way)

    def _may_follow(self, order: RoutedRequest, way: Route, kept: HttpExchange) -> bool:
        """Whether the kept connection is the one for this request.

        What cannot be sent again goes by a fresh one, for the origin may just be giving the kept one up; but a login
        that holds for a connection (NTLM, Negotiate) would never come to its end like that.
        """
        if kept.destination != way.destination or self._departure != self._client.departure:
            return False
        return order.repeatable or (kept.pinned and way.head != b"" and kept.waits_unheard)

    def _call(self, way: Route) -> None:
        if way.head:
            self._departure = self._client.departure
        self._dial = dial = Connector(self._client, self, way.destination.port)
        dial.start(way.destination)
