"""One HTTP request and its response on their way between a client and an origin.

Longer than others for a reason: both directions end, fail and wait for each other, and what a request goes through
costs least in one object. What is to be decided stands in http_request, http_response and http_body.
"""

from socket import MSG_PEEK
from typing import Protocol

from node.engine.builtin.net.connection import BULK, EDGE, ENDING, IN, LAST, OUT, UNUSUAL, Connection
from node.engine.builtin.net.pipe_pool import PIPE
from node.engine.builtin.net.reactor import BUFFER, Stage
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.http_body import NOTHING, MessageBody, body_of
from node.engine.builtin.protocols.http_fields import CHUNKED, MAX_RESPONSE_LINES, NO_BODY, UNTIL_CLOSE, Refusal
from node.engine.builtin.protocols.http_request import Request
from node.engine.builtin.protocols.http_response import Response, read_response, whole_response, without_chunks
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.rate_limit import DOWN, UP


class ClientSide(Stage, Protocol):
    """The client's connection, as far as an exchange needs it; Conversation is the one there is."""

    inbox: bytearray

    def proceed(self) -> None: ...
    def tunnel(self, origin: Connection, last: bytes) -> None: ...
    def answered(self, exchange: "HttpExchange", *, reusable: bool, close: bool) -> None: ...
    def deserted(self) -> None: ...
    def at_rest(self, exchange: "HttpExchange") -> None: ...
    def answer(self, status: int, reason: str, *, close: bool = False) -> None: ...
    def leave_over(self) -> None: ...
    def moved(self) -> None: ...
    def send_again(self) -> None: ...


_INTERIM_LINES = MAX_RESPONSE_LINES // 32
"""The least that an interim response counts for: 32 of them are the most."""

_NO_REQUEST = Request(b"", b"", 1, [], None, NO_BODY, True, None, [], None, False)


class HttpExchange:
    """A connection to an origin and the request that is on it; there may be another one after it.

    Both directions run at once: an origin may answer before it has the whole request. `deaf`: the origin takes no more
    of the request; what it has answered is still passed on. Until the `upload` is done, the client's next bytes belong
    to this request. `_unread` is what has come of a response's body and is left over for the turn of this proxy: tiny
    chunks; `_lines` counts those of the response's heads. `pinned`: the client may have logged in this
    connection to the origin, and not only a request.
    """

    __slots__ = (
        "_busy",
        "_client",
        "_close",
        "_deaf",
        "_download",
        "_inbox",
        "_lines",
        "_queued",
        "_request",
        "_reusable",
        "_reused",
        "_seen",
        "_talk",
        "_unread",
        "destination",
        "origin",
        "pinned",
        "upload",
    )

    def __init__(self, talk: ClientSide, client: Client, origin: Connection, destination: Destination) -> None:
        self.origin = origin
        self.destination = destination
        self._talk = talk
        self._client = client
        self._request = _NO_REQUEST
        self.upload: MessageBody = NOTHING
        self._download: MessageBody | None = None
        self._inbox: bytearray | None = None
        self._unread: bytearray | None = None
        self._queued = False
        self._lines = 0
        self._seen = 0
        self._busy = False
        self._reused = False
        self._reusable = False
        self._close = False
        self._deaf = False
        self.pinned = False
        origin.belong(self)
        origin.reactor.fresh.append(origin)

    @property
    def owner(self) -> object:
        return self._client.service

    @property
    def calm(self) -> bool:
        """Whether nothing waits for the origin, and it is listened to."""
        origin = self.origin
        return origin.mask in (EDGE, IN) and not (origin.pending or origin.pipe)

    @property
    def begun(self) -> bool:
        """Whether the client has got some of the answer."""
        return self._download is not None

    @property
    def waits_unheard(self) -> bool:
        """Whether a kept connection is open and nothing has come on it; asked of the kernel."""
        try:
            self.origin.sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def start(self, request: Request, head: bytes, *, reused: bool) -> None:
        """The next request; its body, as far as it is there, is in the talk's inbox."""
        self._request = request
        if request.logs_in:
            self.pinned = True
        self.upload = NOTHING if request.body == NO_BODY else body_of(request.body)
        self._reused = reused
        self._close = not request.keep_alive
        self._busy = True
        self._client.held = self.origin.held = False
        if self.upload.done:
            self._pass_up(head)
        else:
            self._start_upload(head)

    def _start_upload(self, head: bytes) -> None:
        inbox = self._talk.inbox
        used = self.upload.feed(inbox, 0, len(inbox))
        if self.upload.broken:
            self._refuse_upload()
        elif not self.upload.done and self._client.ended and used == len(inbox):
            self._talk.broken()
        else:
            body = inbox[:used] if self.upload.out is None else self.upload.out
            self._pass_up(b"%b%b" % (head, body))
            del inbox[:used]
            if inbox and not self.upload.done:
                self._talk.leave_over()

    def take_kept(self) -> None:
        """Go on with what the client has sent of the body and was left over."""
        inbox, origin = self._talk.inbox, self.origin
        if origin.pending or origin.pipe:
            return
        used = self.upload.feed(inbox, 0, len(inbox))
        if self.upload.broken:
            self._refuse_upload()
        elif not self.upload.done and self._client.ended and used == len(inbox):
            self._talk.broken()
        else:
            self._pass_up(bytes(inbox[:used]) if self.upload.out is None else self.upload.out)
            del inbox[:used]
            if inbox and not self.upload.done:
                self._talk.leave_over()

    def take(self) -> None:
        """Takes what the client has sent of the body."""
        client, origin, body = self._client, self.origin, self.upload
        if self._talk.inbox:
            self.take_kept()
            return
        most = self._allowance(client, UP)
        if not most:
            return
        if client.bulk and body.span >= BULK and not (self._deaf or origin.waiting) and origin.take_pipe():
            count = client.fill(origin, min(most, body.span))
            body.skip(max(count, 0))
            self._flush()
        elif (count := client.receive(min(most, BUFFER))) > 0:
            self._take(count)
        if count == 0:
            self._talk.broken()

    def resume(self) -> None:
        """Reads on where the proxy's pace made it wait."""
        self._client.held = self.origin.held = False
        self._talk.proceed()

    def ready(self, fd: int, events: int) -> None:
        if not self._busy:
            self._talk.deserted()
            return
        client = self._client
        begun = self._download or self._inbox or client.pending or client.pipe or client.service.rate_limit
        if events & UNUSUAL == IN and not begun:
            if self._hear_first(events):
                return
        else:
            if self.origin.mask == EDGE:
                self.origin.watch(IN)
            if events & OUT:
                self._flush()
            if events & ~OUT and not (client.pending or client.pipe or self._unread):
                self._hear()
        self._talk.proceed()

    def settle(self) -> None:
        """A mask of nothing would still report hang-ups, so it is no watch at all."""
        client, origin = self._client, self.origin
        mask = 0 if origin.held or client.pending or client.pipe or self._unread else IN
        if self._unread and not (self._queued or client.pending or client.pipe):
            self._queued = True
            client.reactor.later(self, self._go_on)
        if origin.pending or origin.pipe:
            mask |= OUT
        if mask:
            if mask != IN or origin.mask != EDGE:
                origin.watch(mask)
        else:
            origin.unwatch()

    def _go_on(self) -> None:
        """With what is left over of the response."""
        self._queued = False
        unread, client = self._unread, self._client
        if unread and self._busy and self.origin.fd >= 0 and not (client.pending or client.pipe):
            self._unread = None
            self._pass_body(unread, memoryview(unread), 0, len(unread))
        self._talk.proceed()

    def close(self) -> None:
        self._talk.close()

    def broken(self) -> None:
        self._talk.broken()

    def _allowance(self, wire: Connection, direction: int) -> int:
        """Bytes that may be read now; at none the wire is left alone until there are more."""
        rate_limit = self._client.service.rate_limit
        if rate_limit is None:
            return PIPE
        most = rate_limit.allowance(self, direction, PIPE)
        wire.held = not most
        return most

    def _take(self, count: int) -> None:
        reactor = self._client.reactor
        used = self.upload.feed(reactor.buffer, 0, count)
        if self.upload.broken:
            self._refuse_upload()
            return
        self._pass_up(reactor.view[:used] if self.upload.out is None else self.upload.out)
        if used < count:
            self._talk.inbox += reactor.view[used:count]
            if not self.upload.done:
                self._talk.leave_over()

    def _pass_up(self, data: bytes | memoryview) -> None:
        service = self._client.service
        if not data:
            return
        if self._deaf:
            service.received += len(data)
            return
        try:
            service.received += self.origin.send(data)
        except OSError:
            self._deaf = True

    def _flush(self) -> None:
        try:
            self._client.service.received += self.origin.flush()
        except OSError:
            self._deaf = True
            self.origin.forget()

    def _refuse_upload(self) -> None:
        if self._download is not None:
            self._talk.broken()
        else:
            self._fail(400, "the request body cannot be read")

    def _fail(self, status: int, reason: str) -> None:
        self.origin.reset()
        self._talk.answer(status, reason, close=status == 400 or not self.upload.done)

    def _hear(self) -> None:
        client, origin, body = self._client, self.origin, self._download
        most = self._allowance(origin, DOWN)
        if not most:
            return
        span = body.span if body is not None else 0
        spliced = span >= BULK and origin.bulk and client.take_pipe()
        try:
            count = origin.fill(client, min(most, span)) if spliced else origin.receive(min(most, BUFFER))
        except OSError:
            self._lost(clean=False)
            return
        if count == 0:
            self._lost(clean=True)
        elif count > 0 and spliced and body is not None:
            self._pass_through(body, count)
        elif count > 0:
            self._pass_down(count)

    def _hear_first(self, events: int) -> bool:
        """Mostly this is the whole response; True: and mostly that is all, and everything is at rest."""
        origin, request = self.origin, self._request
        try:
            data = origin.sock.recv(BUFFER)
        except BlockingIOError:
            return True
        except OSError:
            self._lost(clean=False)
            return False
        end = data.find(b"\r\n\r\n") + 4
        via = self._client.reactor.via
        response = whole_response(data[:end], request.method, via) if end >= 4 and len(data) < BUFFER else None
        if isinstance(response, Response) and response.status >= 200 and response.body == len(data) - response.size:
            self._answers(response)
            self._reusable = response.reusable and not events & ENDING
            flags = LAST if self._close and self.upload.done else 0
            self._to_client(b"%b%b\r\n%b" % (response.head, self._connection(), data[response.size :]), flags)
            if self._rests():
                return True
            self._finish()
            return False
        # There is more to come, or the end, which may not be told of once more.
        origin.watch(IN)
        if data:
            origin.bulk = int(len(data) >= BULK)
            reactor = self._client.reactor
            reactor.view[: len(data)] = data
            self._pass_down(len(data))
        else:
            origin.ended = True
            self._lost(clean=True)
        return False

    def _rests(self) -> bool:
        """After a whole response: whether nothing is left to do, which is then done."""
        client, talk = self._client, self._talk
        if (
            self._close
            or not self._reusable
            or not self.upload.done
            or self._deaf
            or not self.calm
            or client.pending
            or client.ended
            or client.mask != IN
            or talk.inbox
        ):
            return False
        self._busy, self._request = False, _NO_REQUEST
        talk.at_rest(self)
        return True

    def _lost(self, *, clean: bool) -> None:
        """The origin's connection is over."""
        if self._download is not None:
            rest = self._download.rest if clean else None
            if rest is None:
                self._talk.broken()
                return
            if rest:
                self._to_client(rest)
            self._reusable = False
            self._finish()
        elif self._reused and not self._inbox and self._request.repeatable:
            self.origin.drop()
            self._talk.send_again()
        else:
            self._fail(502, "the destination closed the connection without an answer")

    def _pass_down(self, count: int) -> None:
        reactor, body = self._client.reactor, self._download
        if body is None:
            self._begin_at_once(count)
            return
        self._pass_body(reactor.buffer, reactor.view, 0, count)

    def _pass_body(self, data: bytearray, view: memoryview, start: int, end: int, head: bytes = b"") -> None:
        """Bytes of the response's body, behind its head if there is one; what takes too long is left over."""
        body = self._download
        if body is None:
            return
        used = body.feed(data, start, end)
        if body.broken:
            self._break(begun=not head)
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

    def _break(self, *, begun: bool) -> None:
        """The chunks of the response cannot be read; the client is told as long as it has nothing of it."""
        if begun:
            self._talk.broken()
        else:
            self._download = None
            self._fail(502, "the chunks of the origin's response cannot be read")

    def _pass_through(self, body: MessageBody, count: int) -> None:
        body.skip(count)
        self._client.deliver()
        if self._client.ended:
            self._talk.moved()
        if body.done:
            self._finish()

    def _to_client(self, data: bytes | memoryview, flags: int = 0) -> None:
        client = self._client
        client.service.sent += client.send(data, flags)
        if client.ended:
            self._talk.moved()

    def _begin_at_once(self, count: int) -> None:
        """The beginning of a response is in the reactor's buffer; mostly its head is whole."""
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
        """Any number of interim responses, then the final one."""
        while True:
            response = read_response(inbox, self._seen, self._request.method, self._client.reactor.via)
            self._seen = len(inbox)
            if response is None:
                return
            if isinstance(response, Refusal):
                self._fail(*response)
                return
            if not response.interim:
                self._begin(response, inbox)
                return
            self._lines += max(inbox.count(b"\n", 0, response.size), _INTERIM_LINES)
            if self._lines > MAX_RESPONSE_LINES:
                self._fail(502, f"the origin's interim responses have more than {MAX_RESPONSE_LINES} lines")
                return
            if self._request.minor:
                self._to_client(response.head + b"\r\n")
            del inbox[: response.size]
            self._seen = 0

    def _begin(self, response: Response, inbox: bytearray) -> None:
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
        self._answers(response)
        self._close = self._close or response.body == UNTIL_CLOSE or (old and response.body == CHUNKED)
        self._reusable = response.reusable
        head = b"%b%b\r\n" % (readable.head, self._connection())
        self._pass_body(data, view, response.size, end, head)

    def _answers(self, response: Response) -> None:
        """The final answer begins: before it has the whole request, it is the last one on the client's connection."""
        self.pinned = self.pinned or response.challenges
        self._close = self._close or not self.upload.done

    def _connection(self) -> bytes:
        if self._close:
            return b"Connection: close\r\n"
        return b"" if self._request.minor else b"Connection: keep-alive\r\n"

    def _switch(self, response: Response, early: bytearray) -> None:
        """101: the connection is something else from here on, if the client asked for that."""
        if self._request.upgrade is None or not self.upload.done:
            self._fail(502, "the destination switched protocols unasked")
            return
        self._talk.tunnel(self.origin, b"%b\r\n%b" % (response.head, early))

    def _finish(self) -> None:
        self._busy, self._download, self._request = False, None, _NO_REQUEST
        origin, whole = self.origin, self.upload.done
        reusable = self._reusable and whole and not (self._deaf or origin.pending or origin.pipe)
        if not reusable:
            origin.drop()
        self._talk.answered(self, reusable=reusable, close=self._close or not whole)
