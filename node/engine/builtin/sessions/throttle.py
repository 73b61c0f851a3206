"""Holds the relays of one proxy to its bandwidth and to the rest of its traffic."""

import asyncio
import time
from time import monotonic

from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.token_bucket import TokenBucket, shares
from node.engine.builtin.sessions.client import ClientProxy
from node.engine.builtin.sessions.rate_limit import UP, Levels, Relay

AT_ONCE = 32
"""Relays that read on at once; thousands may have waited for the same moment."""
TURN_S = 0.02
"""Between two rounds of a direction in which somebody waits."""


class Lane:
    """One direction. While nobody waits, whoever asks first gets what there is; else all take turns, in equal shares.

    One timer, set only while somebody waits. What was granted but not taken goes back at the next turn.
    """

    __slots__ = ("_credit", "_reactor", "_seen", "_timer", "_waiting", "bucket")

    def __init__(self, reactor: Reactor, rate: float, seen: int) -> None:
        self.bucket = TokenBucket(rate, monotonic())
        self._reactor = reactor
        self._seen = seen
        self._waiting: dict[Relay, None] = {}
        self._credit: dict[Relay, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def allowance(self, relay: Relay, wanted: int, moved: int) -> int:
        """`moved` is all that has moved in this direction."""
        self._catch_up(moved)
        credit = self._credit.get(relay, 0)
        if not credit and not self._timer and not self.bucket.wait():
            credit = int(self.bucket.level)
        elif credit:
            self._credit[relay] = credit - min(credit, wanted)
        if not credit:
            self._waiting[relay] = None
            self._wind()
        return min(credit, wanted)

    def left(self, moved: int) -> float:
        """What is saved up or overdrawn."""
        self._catch_up(moved)
        return self.bucket.level

    def retune(self, rate: float) -> None:
        self.bucket.retune(rate, monotonic())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._wind()

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        resume(self._reactor, list(waiting))

    def _catch_up(self, moved: int) -> None:
        self.bucket.spend(moved - self._seen)
        self._seen = moved
        self.bucket.fill(monotonic())

    def _wind(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._reactor.loop.call_later(max(TURN_S, self.bucket.wait()), self._turn)

    def _turn(self) -> None:
        self._timer = None
        self.bucket.fill(monotonic())
        served, share = shares(self.bucket.level, len(self._waiting))
        turn = [relay for relay, _ in zip(self._waiting, range(served), strict=False)]
        self._credit = dict.fromkeys(turn, share)
        for relay in turn:
            del self._waiting[relay]
        self._timer = self._reactor.loop.call_later(max(TURN_S, self.bucket.wait()), self._turn) if turn else None
        self._wind()
        resume(self._reactor, turn)


class Throttle:
    """A service's pace. Without a limit of bandwidth only the end of its traffic is watched."""

    __slots__ = ("_lanes", "_reactor", "_service", "_stalled")

    def __init__(self, reactor: Reactor, service: ClientProxy) -> None:
        self._reactor = reactor
        self._service = service
        self._lanes: tuple[Lane, Lane] | None = None
        self._stalled: dict[Relay, None] = {}

    def allowance(self, relay: Relay, direction: int, wanted: int) -> int:
        service = self._service
        if service.stop_at is not None:
            left = service.stop_at - service.received - service.sent
            if left <= 0:
                self._stall(relay)
                return 0
            wanted = min(wanted, left)
        if self._lanes is None:
            return wanted
        moved = service.received if direction == UP else service.sent
        return self._lanes[direction].allowance(relay, wanted, moved)

    @property
    def levels(self) -> Levels | None:
        if self._lanes is None:
            return None
        up, down = self._lanes
        return up.left(self._service.received), down.left(self._service.sent)

    def go_on(self, levels: Levels) -> None:
        for lane, level in zip(self._lanes or (), levels, strict=False):
            lane.bucket.level = level

    def tune(self, bandwidth_bps: int | None) -> None:
        """Bits a second in each direction; None: as much as goes."""
        lanes, service = self._lanes, self._service
        if bandwidth_bps is None:
            self._lanes = None
            for lane in lanes or ():
                lane.close()
        elif lanes is None:
            rate = bandwidth_bps / 8
            self._lanes = Lane(self._reactor, rate, service.received), Lane(self._reactor, rate, service.sent)
        else:
            for lane in lanes:
                lane.retune(bandwidth_bps / 8)

    def _stall(self, relay: Relay) -> None:
        """The traffic is used up: not here, in the middle of a relay, but right after it is closed."""
        if not self._stalled:
            self._reactor.loop.call_soon(self._look)
        self._stalled[relay] = None

    def _look(self) -> None:
        stalled, self._stalled = self._stalled, {}
        self._service.look(time.time())
        resume(self._reactor, list(stalled))


def resume(reactor: Reactor, relays: list[Relay]) -> None:
    """Let them read on, a bounded number at once: the data path has its turn in between."""
    for relay in relays[:AT_ONCE]:
        reactor.run(relay, relay.resume)
    if len(relays) > AT_ONCE:
        reactor.loop.call_soon(resume, reactor, relays[AT_ONCE:])
