"""Relays bytes in both directions between a client and a destination."""

from node.engine.builtin.net.connection import EDGE, ENDING, FAILED, GONE, IN, LAST, OUT, UNUSUAL, Connection
from node.engine.builtin.net.pipe_pool import PIPE
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.rate_limit import DOWN, UP

LITTLE = 16384
"""Bytes read at once as long as a direction is not known to carry more."""


class Tunnel:
    """A relay, the only stage without a time limit, unless the client has closed its side and no more data arrives for
    it.

    A side is not read from while its receiver has not taken what was read, so at most one buffer or pipe is held per
    direction. Bytes count once the receiver's kernel has them.

    `_is_simple`: no data waits, neither side sends much, and the client has not closed its side.
    """

    __slots__ = ("_is_simple", "client", "origin")

    def __init__(self, client: Client, origin: Connection) -> None:
        self.client = client
        self.origin = origin
        self._is_simple = True

    @property
    def owner(self) -> object:
        return self.client.proxy

    def start(self, *, early: bytes = b"", answer: bytes = b"") -> None:
        """Start relaying: `early` is data that the client sent after its request, `answer` the reply that it waits
        for."""
        client, origin = self.client, self.origin
        client.stage = self
        reactor = client.reactor
        reactor.stages[client.fd] = reactor.stages[origin.fd] = self
        reactor.fresh.append(origin)
        try:
            client.paused = False
            if answer:
                client.send(answer)
            if early:
                client.proxy.received += origin.send(early)
            if client.ended or origin.ended or client.pending or client.pipe or origin.pending or origin.pipe:
                self._settle()
            else:
                if client.mask != IN:
                    client.watch(IN)
                if origin.mask != EDGE:
                    origin.watch(IN)
        except BaseException:
            # The caller no longer refers to the origin.
            self.abort()
            raise

    def ready(self, fd: int, events: int) -> None:
        """Relay a small piece. Most tunnels carry little, so every call counts here, and each line sees objects of one
        class only."""
        client, origin = self.client, self.origin
        proxy = client.proxy
        if events & UNUSUAL != IN or not self._is_simple or proxy.rate_limit is not None:
            self._ready(fd, events)
            return
        sent, data = 0, None
        try:
            if fd == client.fd:
                data = client.sock.recv(LITTLE)
                if data:
                    sent = origin.sock.send(data)
                    proxy.received += sent
            else:
                data = origin.sock.recv(LITTLE)
                if data:
                    sent = client.sock.send(data, LAST if events & ENDING else 0)
                    proxy.sent += sent
        except BlockingIOError:
            # There was nothing to read, or the receiver has no room.
            if data is None:
                return
        if events & ENDING or not 0 < len(data) == sent < LITTLE:
            self._after_read(fd, events, data, sent)

    def _ready(self, fd: int, events: int) -> None:
        client, origin = self.client, self.origin
        here, there = (client, origin) if fd == client.fd else (origin, client)
        if here.bulk and events == IN and self._relay_bulk(here, there):
            return
        if here.mask == EDGE:
            if events == OUT:
                # No data waits to be sent.
                return
            here.watch(IN)
        if events & OUT:
            self._count(here, here.flush())
        if events & ~OUT and not (here.ended or here.paused or there.pending or there.pipe):
            self._relay(here, there)
        elif events & GONE:
            self._hung_up(here, events)
        self._settle()

    def _relay_bulk(self, here: Connection, there: Connection) -> bool:
        """Relay bulk data, if the direction is free; False if the general path has to handle the event."""
        if self.client.proxy.rate_limit is not None or here.paused or there.pending or there.pipe:
            return False
        count = here.relay_to(there)
        if count > 0:
            self._count(there, count - there.waiting)
            if self.client.tls is None:
                here.detect_bulk(count)
        if count <= 0 or there.pending or there.pipe:
            self._settle()
        return True

    def _after_read(self, fd: int, events: int, data: bytes, sent: int) -> None:
        """Handle what the simple path does not: a partial write, a full read, or the end."""
        here, there = (self.client, self.origin) if fd == self.client.fd else (self.origin, self.client)
        if len(data) == LITTLE:
            # There may be more data, so an end that was reported must not be handled yet.
            there.pending = data[sent:]
            self._is_simple = False
            self._ready(fd, IN)
        elif sent < len(data):
            here.ended = events & ENDING != 0
            there.pending = data[sent:]
            self._settle()
        elif there.ended:
            self.close()
        else:
            here.ended = True
            if here is self.client:
                self._client_ended()
            there.finish()
            if here.mask != EDGE:
                _watch(here, there)

    def resume(self) -> None:
        """Continue reading after the rate limit had stopped it."""
        self.client.paused = self.origin.paused = False
        self._settle()

    def expire(self) -> None:
        """Give up: nothing has arrived for too long since the client closed its side."""
        if self.client.stage is self:
            self.abort()

    def close(self) -> None:
        if self.client.ended:
            self.client.reactor.half_tunnels.discard(self)
        self.client.drop()
        self.origin.drop()

    def abort(self) -> None:
        if self.client.ended:
            self.client.reactor.half_tunnels.discard(self)
        self.client.reset()
        self.origin.reset()

    def _relay(self, here: Connection, there: Connection) -> bool:
        """Relay one piece; False if the direction ended or has to wait."""
        rate_limit, most = self.client.proxy.rate_limit, PIPE
        if rate_limit is not None:
            most = rate_limit.allowance(self, UP if here is self.client else DOWN, PIPE)
            if not most:
                here.paused = True
                return False
        count = here.relay_to(there, most)
        if count > 0:
            self._count(there, count - there.waiting)
        return count != 0

    def _count(self, there: Connection, delivered: int) -> None:
        client = self.client
        if there is client:
            client.proxy.sent += delivered
            if client.ended and delivered:
                client.proxy.half_closed.pop(client, None)
                client.reactor.half_tunnels.add(self, client.reactor.now)
        else:
            self.client.proxy.received += delivered

    def _hung_up(self, here: Connection, events: int) -> None:
        """Handle a hang-up of a side that must not be read now; data on its way is still delivered."""
        if events & FAILED:
            self.abort()
        else:
            here.unwatch()

    def _settle(self) -> None:
        """Half-close finished directions, and watch for the next events."""
        client, origin = self.client, self.origin
        if client.stage is not self:
            return
        if client.ended or origin.ended:
            if self._is_over():
                self.close()
                return
            for here, there in ((client, origin), (origin, client)):
                if here.ended and not (there.pending or there.pipe):
                    there.finish()
        _watch(client, origin)
        _watch(origin, client)
        waiting = client.pending or client.pipe or origin.pending or origin.pipe
        self._is_simple = not (waiting or client.bulk or origin.bulk or client.ended)
        if client.ended and self not in client.reactor.half_tunnels.entries:
            self._client_ended()

    def _client_ended(self) -> None:
        """Limit the time of a client that has closed its side: it may wait for more, or have gone."""
        client = self.client
        self._is_simple = False
        client.mark_half_closed(self)
        client.reactor.half_tunnels.add(self, client.reactor.now)

    def _is_over(self) -> bool:
        """Whether both sides have ended and received everything; closing is then as good as a half-close."""
        client, origin = self.client, self.origin
        return client.ended and origin.ended and not (client.pending or client.pipe or origin.pending or origin.pipe)


def _watch(here: Connection, there: Connection) -> None:
    waits = here.ended or here.paused or there.pending or there.pipe
    mask = (0 if waits else IN) | (OUT if here.pending or here.pipe else 0)
    if mask or not here.shut:
        here.watch(mask)
    else:
        here.unwatch()
