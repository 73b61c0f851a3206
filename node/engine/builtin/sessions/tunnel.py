"""Moves bytes both ways between a client and a destination."""

from node.engine.builtin.net.connection import EDGE, ENDING, FAILED, GONE, IN, LAST, OUT, UNUSUAL, Connection
from node.engine.builtin.net.pipe_pool import PIPE
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.rate_limit import DOWN, UP

LITTLE = 16384
"""Bytes that are read at once as long as a direction is not known to carry more."""


class Tunnel:
    """The one stage that nothing times out, unless the client has closed its side and nothing more comes for it.

    A side whose receiver does not take what was read is not read from until it does, so at most one buffer or pipe is
    kept per direction. Bytes count once the receiver's kernel has them. `_calm`: nothing waits, neither side sends much
    and the client has not closed its side.
    """

    __slots__ = ("_calm", "client", "origin")

    def __init__(self, client: Client, origin: Connection) -> None:
        self.client = client
        self.origin = origin
        self._calm = True

    @property
    def owner(self) -> object:
        return self.client.service

    def start(self, *, early: bytes = b"", answer: bytes = b"") -> None:
        """Sends on what the client sent behind its request, and to the client what it waits for."""
        client, origin = self.client, self.origin
        client.stage = self
        reactor = client.reactor
        reactor.stages[client.fd] = reactor.stages[origin.fd] = self
        reactor.fresh.append(origin)
        try:
            client.held = False
            if answer:
                client.send(answer)
            if early:
                client.service.received += origin.send(early)
            if client.ended or origin.ended or client.pending or client.pipe or origin.pending or origin.pipe:
                self._settle()
            else:
                if client.mask != IN:
                    client.watch(IN)
                if origin.mask != EDGE:
                    origin.watch(IN)
        except BaseException:
            # Whoever called does not know the origin any more.
            self.broken()
            raise

    def ready(self, fd: int, events: int) -> None:
        """Most tunnels carry little, which goes through here: every call counts, and each line sees one class only."""
        client, origin = self.client, self.origin
        service = client.service
        if events & UNUSUAL != IN or not self._calm or service.rate_limit is not None:
            self._ready(fd, events)
            return
        sent, data = 0, None
        try:
            if fd == client.fd:
                data = client.sock.recv(LITTLE)
                if data:
                    sent = origin.sock.send(data)
                    service.received += sent
            else:
                data = origin.sock.recv(LITTLE)
                if data:
                    sent = client.sock.send(data, LAST if events & ENDING else 0)
                    service.sent += sent
        except BlockingIOError:
            # There is nothing after all, or the receiver has no room.
            if data is None:
                return
        if events & ENDING or not 0 < len(data) == sent < LITTLE:
            self._went(fd, events, data, sent)

    def _ready(self, fd: int, events: int) -> None:
        client, origin = self.client, self.origin
        here, there = (client, origin) if fd == client.fd else (origin, client)
        if here.bulk and events == IN and self._pours(here, there):
            return
        if here.mask == EDGE:
            if events == OUT:
                # Nothing waits for that.
                return
            here.watch(IN)
        if events & OUT:
            self._count(here, here.flush())
        if events & ~OUT and not (here.ended or here.held or there.pending or there.pipe):
            self._move(here, there)
        elif events & GONE:
            self._gone(here, events)
        self._settle()

    def _pours(self, here: Connection, there: Connection) -> bool:
        """Whether much went through, and things can go on as they are."""
        if self.client.service.rate_limit is not None or here.held or there.pending or there.pipe:
            return False
        count = here.pass_to(there)
        if count > 0:
            self._count(there, count - there.waiting)
            here.gather(count)
        if count <= 0 or there.pending or there.pipe:
            self._settle()
        return True

    def _went(self, fd: int, events: int, data: bytes, sent: int) -> None:
        """Of a little that was read so much was taken: not all, or all and there may be more, or it was the end."""
        here, there = (self.client, self.origin) if fd == self.client.fd else (self.origin, self.client)
        if len(data) == LITTLE:
            # There may be more, or what was said of an end is not to be known yet.
            there.pending = data[sent:]
            self._calm = False
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
                self._left()
            there.finish()
            if here.mask != EDGE:
                _watch(here, there)

    def resume(self) -> None:
        """Reads on where the proxy's pace made it wait."""
        self.client.held = self.origin.held = False
        self._settle()

    def expire(self) -> None:
        """Nothing has come for too long since the client closed its side."""
        if self.client.stage is self:
            self.broken()

    def close(self) -> None:
        if self.client.ended:
            self.client.reactor.half_tunnels.discard(self)
        self.client.drop()
        self.origin.drop()

    def broken(self) -> None:
        if self.client.ended:
            self.client.reactor.half_tunnels.discard(self)
        self.client.reset()
        self.origin.reset()

    def _move(self, here: Connection, there: Connection) -> bool:
        """Whether things can go on as they are."""
        rate_limit, most = self.client.service.rate_limit, PIPE
        if rate_limit is not None:
            most = rate_limit.allowance(self, UP if here is self.client else DOWN, PIPE)
            if not most:
                here.held = True
                return False
        count = here.pass_to(there, most)
        if count > 0:
            self._count(there, count - there.waiting)
        return count != 0

    def _count(self, there: Connection, delivered: int) -> None:
        client = self.client
        if there is client:
            client.service.sent += delivered
            if client.ended and delivered:
                client.service.leaving.pop(client, None)
                client.reactor.half_tunnels.add(self, client.reactor.now)
        else:
            self.client.service.received += delivered

    def _gone(self, here: Connection, events: int) -> None:
        """Hung up while nothing may be read from it: what is on its way is still delivered."""
        if events & FAILED:
            self.broken()
        else:
            here.unwatch()

    def _settle(self) -> None:
        """Half-closes what is finished and watches for what can go on."""
        client, origin = self.client, self.origin
        if client.stage is not self:
            return
        if client.ended or origin.ended:
            if self._over():
                self.close()
                return
            for here, there in ((client, origin), (origin, client)):
                if here.ended and not (there.pending or there.pipe):
                    there.finish()
        _watch(client, origin)
        _watch(origin, client)
        waiting = client.pending or client.pipe or origin.pending or origin.pipe
        self._calm = not (waiting or client.bulk or origin.bulk or client.ended)
        if client.ended and self not in client.reactor.half_tunnels.entries:
            self._left()

    def _left(self) -> None:
        """The client has closed its side, which the destination is told; it may still send, or nobody may be there."""
        client = self.client
        self._calm = False
        client.leave(self)
        client.reactor.half_tunnels.add(self, client.reactor.now)

    def _over(self) -> bool:
        """Both sides have ended and have what was for them; closing tells them as well as a half-close would."""
        client, origin = self.client, self.origin
        return client.ended and origin.ended and not (client.pending or client.pipe or origin.pending or origin.pipe)


def _watch(here: Connection, there: Connection) -> None:
    waits = here.ended or here.held or there.pending or there.pipe
    mask = (0 if waits else IN) | (OUT if here.pending or here.pipe else 0)
    if mask or not here.shut:
        here.watch(mask)
    else:
        here.unwatch()
