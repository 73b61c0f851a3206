"""Moves bytes both ways between a client and a destination."""

from node.engine.builtin.client import Client
from node.engine.builtin.wire import FAILED, GONE, IN, OUT, Wire


class Tunnel:
    """The one stage that nothing times out.

    A side whose receiver does not take what was read is not read from until it does, so at most one buffer is kept
    per direction.
    """

    __slots__ = ("_client", "_origin")

    def __init__(self, client: Client, origin: Wire) -> None:
        self._client = client
        self._origin = origin

    def start(self, *, early: bytes = b"", answer: bytes = b"") -> None:
        """Sends on what the client sent behind its request, and to the client what it waits for."""
        client, origin = self._client, self._origin
        client.enter(self)
        origin.belong(self)
        try:
            if answer:
                client.send(answer)
            if early:
                client.service.received += len(early)
                origin.send(early)
            self._settle()
        except BaseException:
            # Whoever called does not know the origin any more.
            self.broken()
            raise

    def ready(self, fd: int, events: int) -> None:
        client, origin = self._client, self._origin
        service = client.service
        if fd == client.fd:
            here, there = client, origin
        else:
            here, there = origin, client
        if events & OUT:
            here.flush()
        if events & ~OUT and not here.ended and not there.pending:
            count = here.receive()
            if count > 0:
                there.send(here.reactor.view[:count])
                if here is client:
                    service.received += count
                else:
                    service.sent += count
                if events == IN and not there.pending:
                    return
        elif events & GONE:
            self._gone(here, events)
        self._settle()

    def close(self) -> None:
        self._client.drop()
        self._origin.drop()

    def broken(self) -> None:
        self._client.reset()
        self._origin.reset()

    def _gone(self, here: Wire, events: int) -> None:
        """Hung up while nothing may be read from it: what is on its way is still delivered."""
        if events & FAILED:
            self.broken()
        else:
            here.unwatch()

    def _settle(self) -> None:
        """Half-closes what is finished and watches for what can go on."""
        client, origin = self._client, self._origin
        if client.stage is not self:
            return
        for here, there in ((client, origin), (origin, client)):
            if here.ended and not there.pending and not there.shut:
                there.finish()
        if client.shut and origin.shut:
            self.close()
            return
        for here, there in ((client, origin), (origin, client)):
            mask = (0 if here.ended or there.pending else IN) | (OUT if here.pending else 0)
            if mask or not here.shut:
                here.watch(mask)
            else:
                here.unwatch()
