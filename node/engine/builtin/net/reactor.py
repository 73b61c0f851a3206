"""The data path's event loop: an epoll of its own, with asyncio nested in it for control messages, names and timers.

Longer than most modules because all events of a worker pass through one object, whose attributes cost one lookup each.
"""

import asyncio
import resource
import select
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from node.engine.builtin import log
from node.engine.builtin.net.dns.resolver import Resolver
from node.engine.builtin.net.echo_server import Echo
from node.engine.builtin.net.exit_counter import ExitCounter
from node.engine.builtin.net.fair_queue import FairQueue, Task
from node.engine.builtin.net.loop import Loop
from node.engine.builtin.net.pipe_pool import PipePool
from node.engine.builtin.net.stage import Evictable, RacingStage, ReactorConnection, Stage, TimedStage
from node.engine.builtin.net.timeouts import (
    ABANDONED_S,
    ATTEMPT_S,
    CONNECT_S,
    HALF_TUNNEL_S,
    HANDSHAKE_S,
    IDLE_S,
    LINGER_S,
    SETTLED_S,
    TLS_HANDSHAKE_S,
    PromptTimeouts,
    Timeouts,
)
from node.engine.builtin.net.tls import TlsRefusals, TlsServer
from node.engine.builtin.policy.bulk_detection import BULK_WAIT_S
from node.engine.builtin.policy.descriptor_shares import DescriptorShares, descriptor_shares
from node.engine.builtin.policy.destination_guard import DestinationGuard
from node.engine.builtin.policy.login_delays import LoginDelays
from node.engine.builtin.policy.source_limits import SourceLimits
from node.engine.builtin.policy.unadmitted_clients import UnadmittedClients
from shared.destinations import DENY_PORTS
from shared.engine.defaults import HALF_CLOSED_S, VIA

BUFFER = 65536
"""The most bytes read at once, and the most that are kept in the process for a receiver that does not take them."""


_BATCH = 512
_SMALL_BATCH = 4
"""Events that are served without reading the clock."""
_EVENTS_PER_CLOCK_READ = 4
"""Events of a larger batch between two reads of the clock; each is a bounded piece of work."""
BATCH_S = 0.002
"""Time for the events of one batch; the rest are deferred, each to its proxy's turn in the fair queue."""
CLOSED_AT_ONCE = 128
"""Sockets closed at once: a close that has to send a reset costs as much as a small request."""
EXPIRED_AT_ONCE = 32
"""Time-outs handled at once; thousands may be due at the same moment."""
_TICK_S = 1.0
_REPORT_AGAIN_S = 60.0


def _stop_batching(connection: ReactorConnection) -> None:
    connection.stop_batching()


class Reactor:
    """Owns what all connections of a worker share: epoll, the read buffer, pipes, time-outs and limits.

    In a `Loop` the reactor itself waits for events; any other event loop, as in tests, calls `serve` as the callback of
    a reader.

    Work that does not fit into a batch goes to `fair_queue`. Sockets in `closing` are closed at the end of a batch, so
    that a descriptor number is not reused while older events of the same batch still name it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.epoll = select.epoll()
        self.stages: dict[int, Stage] = {}
        """The stage of each descriptor that is watched."""
        self.buffer = bytearray(BUFFER)
        self.view = memoryview(self.buffer)
        self.now = monotonic()
        """The time of the current batch."""
        self.faults = 0
        self.shares = descriptor_shares(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.pipes = PipePool(self.shares.pipes)
        self.sources = SourceLimits(self.shares.per_source)
        self.unadmitted: UnadmittedClients[Evictable] = UnadmittedClients(
            self.shares.unadmitted, self.shares.unadmitted_per_proxy
        )
        self.login_delays = LoginDelays()
        self.resolver = Resolver(loop)
        self.exit_counter = ExitCounter(Path())
        """Kept in the working directory."""
        self.echo: Echo | None = None
        self.tls: TlsServer | None = None
        """The certificate for clients; None until the agent has sent one."""
        self.tls_refusals = TlsRefusals()
        self.via = VIA.encode()
        """The name of the proxies in Via fields; empty for none."""
        self.deny_ports: tuple[int | str, ...] = DENY_PORTS
        self.may_connect: Callable[[str], bool] = DestinationGuard().permits
        """Whether clients may be connected to a literal address, or to one that a name resolved to."""
        self.closing: list[Socket] = []
        self.fair_queue: FairQueue[Stage] = FairQueue(self._serve_event, self._run_work)
        self._set_up_timeouts()
        self._exhausted_until = 0.0
        self._waker = -1
        self._attached = isinstance(loop, Loop)
        self._more_due = self._is_scheduled = False
        if isinstance(loop, Loop):
            loop.attach(self)
        else:
            loop.add_reader(self.epoll.fileno(), self.serve, 0)
        loop.call_later(_TICK_S, self._tick)

    def _set_up_timeouts(self) -> None:
        self.handshakes: Timeouts[TimedStage] = Timeouts(HANDSHAKE_S, self._expire)
        self.tls_handshakes: Timeouts[TimedStage] = Timeouts(TLS_HANDSHAKE_S, self._expire)
        self.connecting: Timeouts[TimedStage] = Timeouts(CONNECT_S, self._expire)
        self.idle: Timeouts[TimedStage] = Timeouts(IDLE_S, self._expire)
        self.half_closed: Timeouts[TimedStage] = Timeouts(HALF_CLOSED_S, self._expire)
        self.abandoned: Timeouts[TimedStage] = Timeouts(ABANDONED_S, self._expire)
        self.half_tunnels: Timeouts[TimedStage] = Timeouts(HALF_TUNNEL_S, self._expire)
        self.lingering: Timeouts[TimedStage] = Timeouts(LINGER_S, self._expire)
        self._queues = (
            self.handshakes,
            self.tls_handshakes,
            self.connecting,
            self.idle,
            self.half_closed,
            self.abandoned,
            self.half_tunnels,
            self.lingering,
        )
        self.attempts: PromptTimeouts[RacingStage] = PromptTimeouts(ATTEMPT_S, self._try_next, self.loop)
        self.batching: Timeouts[ReactorConnection] = Timeouts(BULK_WAIT_S, _stop_batching)
        self.fresh: list[ReactorConnection] = []
        """New connections to destinations: a list, since most of them end before anything has to be done for them."""
        self._settling: list[ReactorConnection] = []
        self._settle_at = 0.0

    def serve(self, timeout: float) -> bool:
        """Wait for events for at most `timeout` seconds and serve them. True if asyncio has something to do."""
        batching = self.batching.entries
        if timeout > SETTLED_S and (self.fresh or self._settling):
            timeout = SETTLED_S
        if batching:
            timeout = self.batching.wait(self.now, timeout)
        fair_queue = self.fair_queue
        if fair_queue.queues or self.closing:
            timeout = 0.0
        events = self.epoll.poll(timeout, _BATCH)
        self.now = monotonic()
        if self.now >= self._settle_at:
            self._settle()
        if fair_queue.queues:
            woken = self._serve_new_owners(events)
            fair_queue.serve_next()
        elif len(events) <= _SMALL_BATCH:
            woken = self._serve_all(events)
        else:
            woken = self._serve_many(events)
        if batching:
            self.batching.expire(self.now)
        if self.closing:
            self.sweep()
        if fair_queue.queues or self.closing:
            self._schedule_serve()
        return woken

    def defer(self, stage: Stage, work: Task) -> None:
        """Do this work in the proxy's turn; that is at once unless others have work waiting."""
        self.fair_queue.add_work(stage.owner, stage, work)
        self._schedule_serve()

    def _schedule_serve(self) -> None:
        """Have `serve` called again for deferred work, in an event loop other than `Loop`, which checks itself."""
        if not (self._attached or self._is_scheduled):
            self._is_scheduled = True
            self.loop.call_soon(self._serve_scheduled)

    def _serve_scheduled(self) -> None:
        self._is_scheduled = False
        if not self.epoll.closed:
            self.serve(0)

    def _serve_all(self, events: Sequence[tuple[int, int]]) -> bool:
        """Serve all events. True if asyncio has something to do."""
        stages, woken = self.stages, False
        for fd, mask in events:
            stage = stages.get(fd)
            if stage is not None:
                try:
                    stage.ready(fd, mask)
                except OSError:
                    stage.abort()
                except Exception as error:  # noqa: BLE001 (a fault in one connection ends that connection only)
                    self._fault(stage, error)
            elif fd == self._waker:
                woken = True
        return woken

    def _serve_many(self, events: Sequence[tuple[int, int]]) -> bool:
        """Serve events like `_serve_all` until the time of the batch is up, and defer the rest."""
        until, woken = self.now + BATCH_S, False
        for begin in range(0, len(events), _EVENTS_PER_CLOCK_READ):
            if monotonic() >= until:
                return self._defer_events(events[begin:]) or woken
            woken = self._serve_all(events[begin : begin + _EVENTS_PER_CLOCK_READ]) or woken
        return woken

    def _serve_new_owners(self, events: Sequence[tuple[int, int]]) -> bool:
        """Serve the events of proxies without deferred work; those of others are queued behind it."""
        stages, queues = self.stages, self.fair_queue.queues
        first: list[tuple[int, int]] = []
        for fd, mask in events:
            stage = stages.get(fd)
            if stage is not None and stage.owner in queues:
                self.fair_queue.add_event(stage.owner, fd, mask)
            else:
                first.append((fd, mask))
        return self._serve_many(first)

    def _defer_events(self, events: Sequence[tuple[int, int]]) -> bool:
        stages, woken = self.stages, False
        for fd, mask in events:
            stage = stages.get(fd)
            if stage is not None:
                self.fair_queue.add_event(stage.owner, fd, mask)
            elif fd == self._waker:
                woken = True
        return woken

    def _serve_event(self, fd: int, mask: int) -> None:
        self._serve_all(((fd, mask),))

    def _run_work(self, stage: Stage, work: Task) -> None:
        try:
            work()
        except OSError:
            stage.abort()
        except Exception as error:  # noqa: BLE001 (a fault in one connection ends that connection only)
            self._fault(stage, error)

    def set_shares(self, shares: DescriptorShares) -> None:
        """Apply these limits to new connections; open ones stay."""
        self.shares = shares
        self.pipes.most = shares.pipes
        self.sources.most = shares.per_source
        self.unadmitted.most, self.unadmitted.most_per_proxy = shares.unadmitted, shares.unadmitted_per_proxy

    def wake_on(self, fd: int) -> None:
        self._waker = fd
        self.epoll.register(fd, select.EPOLLIN)

    def run(self, stage: Stage, action: Callable[..., None], *arguments: Any) -> None:
        """Run an action for a connection outside of `serve`, with the same handling of errors."""
        self.now = monotonic()
        self._run_work(stage, partial(action, *arguments))
        self.sweep()

    def discard(self, fd: int, sock: Socket) -> None:
        """Forget a descriptor; its socket is closed at the end of the batch."""
        self.stages.pop(fd, None)
        self.closing.append(sock)

    def sweep(self) -> None:
        """Close discarded sockets, a bounded number at once; the next call closes more."""
        closing, self.closing = self.closing[:CLOSED_AT_ONCE], self.closing[CLOSED_AT_ONCE:]
        waits = self.fair_queue.queues
        for sock in closing:
            if waits:
                self.fair_queue.forget(sock.fileno())
            sock.close()

    def close(self) -> None:
        """Release the epoll instance and all helpers. The caller closes open connections before."""
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
        """Log that the host is out of descriptors, ports or memory, not for each connection that this affects."""
        if self.now >= self._exhausted_until:
            self._exhausted_until = self.now + _REPORT_AGAIN_S
            log.write(event, open=len(self.stages))

    def _fault(self, stage: Stage, error: Exception) -> None:
        self.faults += 1
        log.fault("connection.fault", error)
        stage.abort()

    def _settle(self) -> None:
        settled, self._settling, self.fresh = self._settling, self.fresh, []
        self._settle_at = self.now + SETTLED_S
        for connection in settled:
            if connection.fd >= 0:
                connection.keep_alive()

    def _tick(self) -> None:
        if self.epoll.closed:
            return
        self.batching.expire(self.now)
        self.pipes.trim()
        self.login_delays.trim(self.now)
        self.loop.call_later(_TICK_S, self._tick)
        if not self._more_due:
            self._serve_due()

    def _serve_due(self) -> None:
        """Handle the time-outs that are due, a bounded number at once, so that the data path runs in between."""
        if self.epoll.closed:
            return
        self.now = monotonic()
        due = [queue.expire(self.now, EXPIRED_AT_ONCE) for queue in self._queues]
        self.sweep()
        self._more_due = any(due)
        if self._more_due:
            self.loop.call_soon(self._serve_due)

    def _expire(self, stage: TimedStage) -> None:
        self.run(stage, stage.expire)

    def _try_next(self, stage: RacingStage) -> None:
        self.run(stage, stage.try_next)
