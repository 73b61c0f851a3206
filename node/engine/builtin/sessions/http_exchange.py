"""One HTTP request and its response on their way between a client and an origin.

Longer than most modules for a reason: both directions end, fail and wait for each other, and it costs least to handle a
request's path in one object. The decisions are made in http_request, http_response and http_body.
"""

from socket import MSG_PEEK
from typing import Protocol

from node.engine.builtin.net.connection import BULK, EDGE, ENDING, IN, LAST, OUT, UNUSUAL, Connection
from node.engine.builtin.net.pipe_pool import PIPE
from node.engine.builtin.net.reactor import BUFFER
from node.engine.builtin.net.stage import Stage
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.http_body import NOTHING, MessageBody, body_of
from node.engine.builtin.protocols.http_fields import CHUNKED, MAX_RESPONSE_LINES, NO_BODY, UNTIL_CLOSE, Refusal
from node.engine.builtin.protocols.http_request import Request
from node.engine.builtin.protocols.http_response import Response, read_response, whole_response, without_chunks
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.rate_limit import DOWN, UP


class ClientSide(Stage, Protocol):
    """The client's side of an exchange, which HttpSession implements.

    The protocol keeps this module independent of `http_session`, which imports it.
    """

    inbox: bytearray

    def proceed(self) -> None:
        """Serve what can be served, then wait for more."""
        ...

    def tunnel(self, origin: Connection, last: bytes) -> None:
        """Become a tunnel, because the protocol was switched; `last` is sent to the client first."""
        ...

    def finished(self, exchange: "HttpExchange", *, reusable: bool, close: bool) -> None:
        """Go on after the response, for which more than usual had to be done."""
        ...

    def origin_closed(self) -> None:
        """Forget the kept connection, because its origin closed it or sent something unrequested."""
        ...

    def completed(self, exchange: "HttpExchange") -> None:
        """Go on after a response when nothing else is left to do."""
        ...

    def answer(self, status: int, reason: str, *, close: bool = False) -> None:
        """Send a response of the proxy itself."""
        ...

    def defer(self) -> None:
        """Continue with the inbox in the proxy's next turn."""
        ...

    def progressed(self) -> None:
        """Note that data reached a client that has closed its side."""
        ...

    def retry(self) -> None:
        """Send the same request on a new connection."""
        ...


_INTERIM_LINES = MAX_RESPONSE_LINES // 32
"""The fewest lines that an interim response counts as, so that there are 32 of them at most."""

_NO_REQUEST = Request(b"", b"", 1, [], None, NO_BODY, True, None, [], None, False)


class HttpExchange:
    """A connection to an origin and the request that it carries; another request may follow.

    Both directions run at once: an origin may answer before it has received the whole request. The client's next bytes
    belong to this request until `upload` is done.
    """

    __slots__ = (
        "_busy",
        "_client",
        "_close",
        "_download",
        "_inbox",
        "_lines",
        "_queued",
        "_request",
        "_reusable",
        "_reused",
        "_seen",
        "_session",
        "_unread",
        "_upload_dropped",
        "destination",
        "origin",
        "pinned",
        "upload",
    )

    def __init__(self, session: ClientSide, client: Client, origin: Connection, destination: Destination) -> None:
        self.origin = origin
        self.destination = destination
        self._session = session
        self._client = client
        self._request = _NO_REQUEST
        self.upload: MessageBody = NOTHING
        self._download: MessageBody | None = None
        self._inbox: bytearray | None = None
        self._unread: bytearray | None = None
        """Received bytes of the response's body that are deferred: tiny chunks."""
        self._queued = False
        self._lines = 0
        """Lines of the response's heads so far, interim ones included."""
        self._seen = 0
        self._busy = False
        self._reused = False
        self._reusable = False
        self._close = False
        self._upload_dropped = False
        """The origin accepts no more of the request; its response is still passed on."""
        self.pinned = False
        """The client may have authenticated this connection to the origin, not only one request."""
        origin.hand_to(self)
        origin.reactor.fresh.append(origin)

    @property
    def owner(self) -> object:
        return self._client.proxy

    @property
    def is_quiet(self) -> bool:
        """Whether no data is waiting for the origin and its events are watched."""
        origin = self.origin
        return origin.mask in (EDGE, IN) and not (origin.pending or origin.pipe)

    @property
    def has_begun(self) -> bool:
        """Whether the client has received part of the response."""
        return self._download is not None

    @property
    def is_silent(self) -> bool:
        """Whether the kept connection is open and nothing has been received on it; asked of the kernel."""
        try:
            self.origin.sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def start(self, request: Request, head: bytes, *, reused: bool) -> None:
        """Send the next request. The part of its body that has arrived is in the session's inbox."""
        self._request = request
        if request.logs_in:
            self.pinned = True
        self.upload = NOTHING if request.body == NO_BODY else body_of(request.body)
        self._reused = reused
        self._close = not request.keep_alive
        self._busy = True
        self._client.paused = self.origin.paused = False
        if self.upload.done:
            self._send_up(head)
        else:
            self._start_upload(head)

    def _start_upload(self, head: bytes) -> None:
        inbox = self._session.inbox
        used = self.upload.feed(inbox, 0, len(inbox))
        if self.upload.broken:
            self._refuse_upload()
        elif not self.upload.done and self._client.ended and used == len(inbox):
            self._session.abort()
        else:
            body = inbox[:used] if self.upload.out is None else self.upload.out
            self._send_up(b"%b%b" % (head, body))
            del inbox[:used]
            if inbox and not self.upload.done:
                self._session.defer()

    def resume_upload(self) -> None:
        """Continue with the part of the body that is in the inbox."""
        inbox, origin = self._session.inbox, self.origin
        if origin.pending or origin.pipe:
            return
        used = self.upload.feed(inbox, 0, len(inbox))
        if self.upload.broken:
            self._refuse_upload()
        elif not self.upload.done and self._client.ended and used == len(inbox):
            self._session.abort()
        else:
            self._send_up(bytes(inbox[:used]) if self.upload.out is None else self.upload.out)
            del inbox[:used]
            if inbox and not self.upload.done:
                self._session.defer()

    def take(self) -> None:
        """Read more of the body from the client."""
        client, origin, body = self._client, self.origin, self.upload
        if self._session.inbox:
            self.resume_upload()
            return
        most = self._allowance(client, UP)
        if not most:
            return
        if client.bulk and body.span >= BULK and not (self._upload_dropped or origin.waiting) and origin.take_pipe():
            count = client.fill(origin, min(most, body.span))
            body.skip(max(count, 0))
            self._flush()
        elif (count := client.receive(min(most, BUFFER))) > 0:
            self._forward_upload(count)
        if count == 0:
            self._session.abort()

    def resume(self) -> None:
        """Continue reading after the rate limit had stopped it."""
        self._client.paused = self.origin.paused = False
        self._session.proceed()

    def ready(self, fd: int, events: int) -> None:
        if not self._busy:
            self._session.origin_closed()
            return
        client = self._client
        has_begun = self._download or self._inbox or client.pending or client.pipe or client.proxy.rate_limit
        if events & UNUSUAL == IN and not has_begun:
            if self._read_first(events):
                return
        else:
            if self.origin.mask == EDGE:
                self.origin.watch(IN)
            if events & OUT:
                self._flush()
            if events & ~OUT and not (client.pending or client.pipe or self._unread):
                self._read_origin()
        self._session.proceed()

    def settle(self) -> None:
        """Watch the origin for what can be done next. A mask of zero would still report hang-ups, so the watch is
        removed instead."""
        client, origin = self._client, self.origin
        mask = 0 if origin.paused or client.pending or client.pipe or self._unread else IN
        if self._unread and not (self._queued or client.pending or client.pipe):
            self._queued = True
            client.reactor.defer(self, self._read_deferred)
        if origin.pending or origin.pipe:
            mask |= OUT
        if mask:
            if mask != IN or origin.mask != EDGE:
                origin.watch(mask)
        else:
            origin.unwatch()

    def _read_deferred(self) -> None:
        """Continue with the deferred part of the response."""
        self._queued = False
        unread, client = self._unread, self._client
        if unread and self._busy and self.origin.fd >= 0 and not (client.pending or client.pipe):
            self._unread = None
            self._pass_body(unread, memoryview(unread), 0, len(unread))
        self._session.proceed()

    def close(self) -> None:
        self._session.close()

    def abort(self) -> None:
        self._session.abort()

    def _allowance(self, connection: Connection, direction: int) -> int:
        """Bytes that may be read now; at zero the connection is paused until there are more."""
        rate_limit = self._client.proxy.rate_limit
        if rate_limit is None:
            return PIPE
        most = rate_limit.allowance(self, direction, PIPE)
        connection.paused = not most
        return most

    def _forward_upload(self, count: int) -> None:
        reactor = self._client.reactor
        used = self.upload.feed(reactor.buffer, 0, count)
        if self.upload.broken:
            self._refuse_upload()
            return
        self._send_up(reactor.view[:used] if self.upload.out is None else self.upload.out)
        if used < count:
            self._session.inbox += reactor.view[used:count]
            if not self.upload.done:
                self._session.defer()

    def _send_up(self, data: bytes | memoryview) -> None:
        proxy = self._client.proxy
        if not data:
            return
        if self._upload_dropped:
            proxy.received += len(data)
            return
        try:
            proxy.received += self.origin.send(data)
        except OSError:
            self._upload_dropped = True

    def _flush(self) -> None:
        try:
            self._client.proxy.received += self.origin.flush()
        except OSError:
            self._upload_dropped = True
            self.origin.discard_pending()

    def _refuse_upload(self) -> None:
        if self._download is not None:
            self._session.abort()
        else:
            self._fail(400, "the request body cannot be read")

    def _fail(self, status: int, reason: str) -> None:
        self.origin.reset()
        self._session.answer(status, reason, close=status == 400 or not self.upload.done)

    def _read_origin(self) -> None:
        client, origin, body = self._client, self.origin, self._download
        most = self._allowance(origin, DOWN)
        if not most:
            return
        span = body.span if body is not None else 0
        spliced = span >= BULK and origin.bulk and client.take_pipe()
        try:
            count = origin.fill(client, min(most, span)) if spliced else origin.receive(min(most, BUFFER))
        except OSError:
            self._origin_lost(clean=False)
            return
        if count == 0:
            self._origin_lost(clean=True)
        elif count > 0 and spliced and body is not None:
            self._pass_through(body, count)
        elif count > 0:
            self._pass_down(count)

    def _read_first(self, events: int) -> bool:
        """Read the first data of a response, mostly all of it. True if nothing else is left to do."""
        origin, request = self.origin, self._request
        try:
            data = origin.sock.recv(BUFFER)
        except BlockingIOError:
            return True
        except OSError:
            self._origin_lost(clean=False)
            return False
        end = data.find(b"\r\n\r\n") + 4
        via = self._client.reactor.via
        response = whole_response(data[:end], request.method, via) if end >= 4 and len(data) < BUFFER else None
        if isinstance(response, Response) and response.status >= 200 and response.body == len(data) - response.size:
            self._begin_final(response)
            self._reusable = response.reusable and not events & ENDING
            flags = LAST if self._close and self.upload.done else 0
            self._to_client(b"%b%b\r\n%b" % (response.head, self._connection(), data[response.size :]), flags)
            if self._rest_if_done():
                return True
            self._finish()
            return False
        # More data or the end follows, which may not be reported again.
        origin.watch(IN)
        if data:
            origin.bulk = int(len(data) >= BULK)
            reactor = self._client.reactor
            reactor.view[: len(data)] = data
            self._pass_down(len(data))
        else:
            origin.ended = True
            self._origin_lost(clean=True)
        return False

    def _rest_if_done(self) -> bool:
        """After a complete response: finish the request if nothing else is left to do, and return whether that is
        so."""
        client, session = self._client, self._session
        if (
            self._close
            or not self._reusable
            or not self.upload.done
            or self._upload_dropped
            or not self.is_quiet
            or client.pending
            or client.ended
            or client.mask != IN
            or session.inbox
        ):
            return False
        self._busy, self._request = False, _NO_REQUEST
        session.completed(self)
        return True

    def _origin_lost(self, *, clean: bool) -> None:
        """Handle the end of the origin's connection."""
        if self._download is not None:
            rest = self._download.rest if clean else None
            if rest is None:
                self._session.abort()
                return
            if rest:
                self._to_client(rest)
            self._reusable = False
            self._finish()
        elif self._reused and not self._inbox and self._request.repeatable:
            self.origin.drop()
            self._session.retry()
        else:
            self._fail(502, "the destination closed the connection without a response")

    def _pass_down(self, count: int) -> None:
        reactor, body = self._client.reactor, self._download
        if body is None:
            self._begin(count)
            return
        self._pass_body(reactor.buffer, reactor.view, 0, count)

    def _pass_body(self, data: bytearray, view: memoryview, start: int, end: int, head: bytes = b"") -> None:
        """Forward bytes of the response's body, after its head if there is one. What would take too long is
        deferred."""
        body = self._download
        if body is None:
            return
        used = body.feed(data, start, end)
        if body.broken:
            self._break(has_begun=not head)
            return
        content = view[start:used] if body.out is None else body.out
        if head:
            self._to_client(b"%b%b" % (head, content))
        elif content:
            self._to_client(content)
        if body.done:
            self._reusable = self._reusable and used == end
            self._finish()
        elif used < end:
            self._unread = bytearray(view[used:end])

    def _break(self, *, has_begun: bool) -> None:
        """Give up a response with invalid chunks; the client gets an error if it has received nothing yet."""
        if has_begun:
            self._session.abort()
        else:
            self._download = None
            self._fail(502, "the chunks of the origin's response cannot be read")

    def _pass_through(self, body: MessageBody, count: int) -> None:
        body.skip(count)
        self._client.deliver()
        if self._client.ended:
            self._session.progressed()
        if body.done:
            self._finish()

    def _to_client(self, data: bytes | memoryview, flags: int = 0) -> None:
        client = self._client
        client.proxy.sent += client.send(data, flags)
        if client.ended:
            self._session.progressed()

    def _begin(self, count: int) -> None:
        """Handle the beginning of a response in the reactor's buffer; mostly its head is complete."""
        reactor = self._client.reactor
        end = 0 if self._inbox else reactor.buffer.find(b"\r\n\r\n", 0, count) + 4
        response = whole_response(bytes(reactor.view[:end]), self._request.method, reactor.via) if end >= 4 else None
        if isinstance(response, Response) and response.plain:
            self._begin_body(response, reactor.buffer, reactor.view, count)
        else:
            self._inbox = inbox = self._inbox or bytearray()
            inbox += reactor.view[:count]
            self._read_heads(inbox)

    def _read_heads(self, inbox: bytearray) -> None:
        """Read any number of interim responses, then the final one."""
        while True:
            response = read_response(inbox, self._seen, self._request.method, self._client.reactor.via)
            self._seen = len(inbox)
            if response is None:
                return
            if isinstance(response, Refusal):
                self._fail(*response)
                return
            if not response.interim:
                self._begin_final_head(response, inbox)
                return
            self._lines += max(inbox.count(b"\n", 0, response.size), _INTERIM_LINES)
            if self._lines > MAX_RESPONSE_LINES:
                self._fail(502, f"the origin's interim responses have more than {MAX_RESPONSE_LINES} lines")
                return
            if self._request.minor:
                self._to_client(response.head + b"\r\n")
            del inbox[: response.size]
            self._seen = 0

    def _begin_final_head(self, response: Response, inbox: bytearray) -> None:
        self._inbox, self._seen, self._lines = None, 0, 0
        if response.status == 101:
            self._switch(response, inbox[response.size :])
        else:
            self._begin_body(response, inbox, memoryview(inbox), len(inbox))

    def _begin_body(self, response: Response, data: bytearray, view: memoryview, end: int) -> None:
        old = not self._request.minor
        readable = without_chunks(response) if old else response
        if isinstance(readable, Refusal):
            self._fail(*readable)
            return
        self._download = body_of(response.body, lenient=True, bare=old)
        self._begin_final(response)
        self._close = self._close or response.body == UNTIL_CLOSE or (old and response.body == CHUNKED)
        self._reusable = response.reusable
        head = b"%b%b\r\n" % (readable.head, self._connection())
        self._pass_body(data, view, response.size, end, head)

    def _begin_final(self, response: Response) -> None:
        """Begin the final response. If the request is not complete yet, it is the last one on the client's
        connection."""
        self.pinned = self.pinned or response.challenges
        self._close = self._close or not self.upload.done

    def _connection(self) -> bytes:
        if self._close:
            return b"Connection: close\r\n"
        return b"" if self._request.minor else b"Connection: keep-alive\r\n"

    def _switch(self, response: Response, early: bytearray) -> None:
        """Switch protocols (101), if the client asked for that."""
        if self._request.upgrade is None or not self.upload.done:
            self._fail(502, "the destination switched protocols without a request")
            return
        self._session.tunnel(self.origin, b"%b\r\n%b" % (response.head, early))

    def _finish(self) -> None:
        self._busy, self._download, self._request = False, None, _NO_REQUEST
        origin, whole = self.origin, self.upload.done
        reusable = self._reusable and whole and not (self._upload_dropped or origin.pending or origin.pipe)
        if not reusable:
            origin.drop()
        self._session.finished(self, reusable=reusable, close=self._close or not whole)
