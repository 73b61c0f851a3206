"""The data path's event loop: an epoll of its own; asyncio, for control, names and timers, is nested in it."""

import asyncio
import resource
import select
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from node.engine.builtin import log
from node.engine.builtin.net.dns.resolver import Resolver
from node.engine.builtin.net.echo_server import Echo
from node.engine.builtin.net.exit_counter import ExitCounter
from node.engine.builtin.net.fair_queue import FairQueue, Task
from node.engine.builtin.net.loop import Loop
from node.engine.builtin.net.pipe_pool import PipePool
from node.engine.builtin.net.timeouts import PromptTimeouts, Timeouts
from node.engine.builtin.policy.bulk_detection import BULK_WAIT_S
from node.engine.builtin.policy.descriptor_shares import DescriptorShares, descriptor_shares
from node.engine.builtin.policy.destination_guard import DestinationGuard
from node.engine.builtin.policy.login_delays import LoginDelays
from node.engine.builtin.policy.source_limits import SourceLimits
from node.engine.builtin.policy.unadmitted_clients import UnadmittedClients
from shared.destinations import DENY_PORTS
from shared.engine_defaults import HALF_CLOSED_S, VIA

BUFFER = 65536
"""Bytes read at once, and the most that is kept in the process for a receiver that does not take them."""

HANDSHAKE_S = 30.0
DIAL_S = 12.0
ATTEMPT_S = 0.25
"""The head start of one of several addresses of a name before the next is tried beside it (RFC 8305 §8)."""
IDLE_S = 300.0
"""For an HTTP client between two requests; browsers give up after about as long."""
LINGER_S = 3.0


ABANDONED_S = 0.5
"""For a destination to be reached after the client has closed its side with nothing to send there."""
HALF_TUNNEL_S = 120.0
"""The same for a tunnel, whose destination is told of the end and may have much to think about."""

FRESH_S = 0.005
"""After twice that at most a connection to a destination is one that stays: see `Wire.stay`."""

_BATCH = 512
_FEW = 4
"""Events that are served without a look at the clock."""
_BETWEEN_LOOKS = 4
"""Events of a larger batch between two looks at the clock; bounded pieces of work, all of them."""
BATCH_S = 0.002
"""Time for the events of one batch; the rest of them is left over, each for the turn of its proxy."""
SWEPT = 128
"""Descriptors that are closed at once: a close that has to send a reset costs as much as a small request."""
EXPIRED = 32
"""Time-outs that are served at once; thousands may be due in the same moment."""
_TICK_S = 1.0
_TELL_AGAIN_S = 60.0


class Stage(Protocol):
    """What a connection is doing: it is told of events on its descriptors."""

    @property
    def owner(self) -> object:
        """The proxy in whose turn work is done that is left over; any object that stands for it."""
        ...

    def ready(self, fd: int, events: int) -> None: ...

    def close(self) -> None:
        """Close every descriptor of this connection; called again it does nothing."""
        ...

    def broken(self) -> None:
        """The same after a fault: the other side must be able to tell it from a proper end."""
        ...


class TimedStage(Stage, Protocol):
    """A stage that may not last for ever."""

    def expire(self) -> None:
        """Its time is up."""
        ...


class RacingStage(Stage, Protocol):
    """A stage that goes on with something else after a while."""

    def hurry(self) -> None: ...


class ReactorConnection(Protocol):
    """As much of a `Wire` as the reactor looks at."""

    fd: int

    def stay(self) -> None: ...

    def scatter(self) -> None: ...


class Evictable(Protocol):
    """A client that has not been admitted."""

    def evict(self) -> None:
        """Close the connection to make room for another one."""
        ...


def _scatter(connection: ReactorConnection) -> None:
    connection.scatter()


class Reactor:
    """Owns the epoll, who listens to which descriptor, the buffer that all reads share, and the time-outs.

    In a `Loop` it is what waits; in any other loop it is served as one reader among others.
    `may_dial` tells whether clients may be connected to a literal address, one that a name resolved to included.
    `exit_counter` are kept in the working directory. `via` is the proxies' name in Via fields, empty for none.

    What cannot be served in time is left over: `turns` says what is to be done, and for which proxy.

    `fresh` are connections to destinations: a list, since most of them end before anything has to be done for them.
    Descriptors, those `closing`, are closed at the end of a batch, so that a number is never used anew while old events
    name it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.epoll = select.epoll()
        self.stages: dict[int, Stage] = {}
        self.buffer = bytearray(BUFFER)
        self.view = memoryview(self.buffer)
        self.bounds = descriptor_shares(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.pipes = PipePool(self.bounds.pipes)
        self.now = monotonic()
        self.faults = 0
        self.via = VIA.encode()
        self._exhausted_until = 0.0
        self.resolver = Resolver(loop)
        self.exit_counter = ExitCounter(Path())
        self.sources = SourceLimits(self.bounds.per_source)
        self.unadmitted: UnadmittedClients[Evictable] = UnadmittedClients(
            self.bounds.unadmitted, self.bounds.unadmitted_per_proxy
        )
        self.login_delays = LoginDelays()
        self.echo: Echo | None = None
        self.deny_ports: tuple[int | str, ...] = DENY_PORTS
        self.may_dial: Callable[[str], bool] = DestinationGuard().permits
        self.handshakes: Timeouts[TimedStage] = Timeouts(HANDSHAKE_S, self._expire)
        self.dials: Timeouts[TimedStage] = Timeouts(DIAL_S, self._expire)
        self.idle: Timeouts[TimedStage] = Timeouts(IDLE_S, self._expire)
        self.half_closed: Timeouts[TimedStage] = Timeouts(HALF_CLOSED_S, self._expire)
        self.abandoned: Timeouts[TimedStage] = Timeouts(ABANDONED_S, self._expire)
        self.half_tunnels: Timeouts[TimedStage] = Timeouts(HALF_TUNNEL_S, self._expire)
        self.lingering: Timeouts[TimedStage] = Timeouts(LINGER_S, self._expire)
        self._queues = (
            self.handshakes,
            self.dials,
            self.idle,
            self.half_closed,
            self.abandoned,
            self.half_tunnels,
            self.lingering,
        )
        self.attempts: PromptTimeouts[RacingStage] = PromptTimeouts(ATTEMPT_S, self._hurry, loop)
        self.fresh: list[ReactorConnection] = []
        self._less_fresh: list[ReactorConnection] = []
        self._fresh_until = 0.0
        self.gathering: Timeouts[ReactorConnection] = Timeouts(BULK_WAIT_S, _scatter)
        self.closing: list[Socket] = []
        self.turns: FairQueue[Stage] = FairQueue(self._serve_event, self._do)
        self._waker = -1
        self._attached = isinstance(loop, Loop)
        self._due_again = self._coming = False
        if isinstance(loop, Loop):
            loop.attach(self)
        else:
            loop.add_reader(self.epoll.fileno(), self.serve, 0)
        loop.call_later(_TICK_S, self._tick)

    def serve(self, timeout: float) -> bool:
        """Waits for at most so many seconds and serves what is ready; True when asyncio has something to do."""
        gathering = self.gathering.entries
        if timeout > FRESH_S and (self.fresh or self._less_fresh):
            timeout = FRESH_S
        if gathering:
            timeout = self.gathering.wait(self.now, timeout)
        turns = self.turns
        if turns.queues or self.closing:
            timeout = 0.0
        events = self.epoll.poll(timeout, _BATCH)
        self.now = monotonic()
        if self.now >= self._fresh_until:
            self._settle()
        if turns.queues:
            woken = self._serve_in_turn(events)
            turns.take()
        elif len(events) <= _FEW:
            woken = self._serve_all(events)
        else:
            woken = self._serve_many(events)
        if gathering:
            self.gathering.expire(self.now)
        if self.closing:
            self.sweep()
        if turns.queues or self.closing:
            self._come_again()
        return woken

    def later(self, stage: Stage, work: Task) -> None:
        """Do the work when its proxy has its turn: at once, as far as nobody else wants anything."""
        self.turns.add_work(stage.owner, stage, work)
        self._come_again()

    def _come_again(self) -> None:
        """In another loop than a `Loop`, which looks by itself, `serve` has to be called for what is left over."""
        if not (self._attached or self._coming):
            self._coming = True
            self.loop.call_soon(self._come)

    def _come(self) -> None:
        self._coming = False
        if not self.epoll.closed:
            self.serve(0)

    def _serve_all(self, events: Sequence[tuple[int, int]]) -> bool:
        """Whether asyncio has something to do."""
        stages, woken = self.stages, False
        for fd, mask in events:
            stage = stages.get(fd)
            if stage is not None:
                try:
                    stage.ready(fd, mask)
                except OSError:
                    stage.broken()
                except Exception as error:  # noqa: BLE001 (a fault in one connection ends that connection only)
                    self._fault(stage, error)
            elif fd == self._waker:
                woken = True
        return woken

    def _serve_many(self, events: Sequence[tuple[int, int]]) -> bool:
        """As `_serve_all`, until the batch's time is up; what is not served by then is left over."""
        until, woken = self.now + BATCH_S, False
        for begin in range(0, len(events), _BETWEEN_LOOKS):
            if monotonic() >= until:
                return self._leave_over(events[begin:]) or woken
            woken = self._serve_all(events[begin : begin + _BETWEEN_LOOKS]) or woken
        return woken

    def _serve_in_turn(self, events: Sequence[tuple[int, int]]) -> bool:
        """Events of proxies that have work left over are added to it; those of the others are served."""
        stages, queues = self.stages, self.turns.queues
        first: list[tuple[int, int]] = []
        for fd, mask in events:
            stage = stages.get(fd)
            if stage is not None and stage.owner in queues:
                self.turns.add_event(stage.owner, fd, mask)
            else:
                first.append((fd, mask))
        return self._serve_many(first)

    def _leave_over(self, events: Sequence[tuple[int, int]]) -> bool:
        stages, woken = self.stages, False
        for fd, mask in events:
            stage = stages.get(fd)
            if stage is not None:
                self.turns.add_event(stage.owner, fd, mask)
            elif fd == self._waker:
                woken = True
        return woken

    def _serve_event(self, fd: int, mask: int) -> None:
        self._serve_all(((fd, mask),))

    def _do(self, stage: Stage, work: Task) -> None:
        try:
            work()
        except OSError:
            stage.broken()
        except Exception as error:  # noqa: BLE001 (a fault in one connection ends that connection only)
            self._fault(stage, error)

    def bound(self, asked: DescriptorShares) -> None:
        """Hold clients to these bounds from now on; who is here already stays."""
        self.bounds = asked
        self.pipes.most = asked.pipes
        self.sources.most = asked.per_source
        self.unadmitted.most, self.unadmitted.most_per_proxy = asked.unadmitted, asked.unadmitted_per_proxy

    def wake_on(self, fd: int) -> None:
        self._waker = fd
        self.epoll.register(fd, select.EPOLLIN)

    def run(self, stage: Stage, action: Callable[..., None], *arguments: Any) -> None:
        """Does something for a connection outside of `serve`, under the same guard."""
        self.now = monotonic()
        self._do(stage, partial(action, *arguments))
        self.sweep()

    def discard(self, fd: int, sock: Socket) -> None:
        """No more events; the socket is closed at the end of the batch."""
        self.stages.pop(fd, None)
        self.closing.append(sock)

    def sweep(self) -> None:
        """Closes what was discarded, a bounded number at once; the rest is closed by the next call."""
        closing, self.closing = self.closing[:SWEPT], self.closing[SWEPT:]
        waits = self.turns.queues
        for sock in closing:
            if waits:
                self.turns.forget(sock.fileno())
            sock.close()

    def close(self) -> None:
        """Gives back the epoll; connections still open are the owner's to close before."""
        if isinstance(self.loop, Loop):
            self.loop.detach()
        else:
            self.loop.remove_reader(self.epoll.fileno())
        while self.closing:
            self.sweep()
        self.epoll.close()
        self.pipes.close()
        self.attempts.close()
        self.resolver.close()

    def exhausted(self, event: str) -> None:
        """The host has no more descriptors, ports or memory for somebody: told in the journal, not for each of them."""
        if self.now >= self._exhausted_until:
            self._exhausted_until = self.now + _TELL_AGAIN_S
            log.write(event, open=len(self.stages))

    def _fault(self, stage: Stage, error: Exception) -> None:
        self.faults += 1
        log.fault("connection.fault", error)
        stage.broken()

    def _settle(self) -> None:
        settled, self._less_fresh, self.fresh = self._less_fresh, self.fresh, []
        self._fresh_until = self.now + FRESH_S
        for connection in settled:
            if connection.fd >= 0:
                connection.stay()

    def _tick(self) -> None:
        if self.epoll.closed:
            return
        self.gathering.expire(self.now)
        self.pipes.trim()
        self.login_delays.trim(self.now)
        self.loop.call_later(_TICK_S, self._tick)
        if not self._due_again:
            self._serve_due()

    def _serve_due(self) -> None:
        """The time-outs that are due, a bounded number at once: the data path has its turn in between."""
        if self.epoll.closed:
            return
        self.now = monotonic()
        due = [queue.expire(self.now, EXPIRED) for queue in self._queues]
        self.sweep()
        self._due_again = any(due)
        if self._due_again:
            self.loop.call_soon(self._serve_due)

    def _expire(self, stage: TimedStage) -> None:
        self.run(stage, stage.expire)

    def _hurry(self, stage: RacingStage) -> None:
        self.run(stage, stage.hurry)
