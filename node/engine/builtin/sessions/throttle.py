"""Limits the relays of one proxy to its bandwidth and to its remaining traffic."""

import asyncio
import time
from time import monotonic

from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.token_bucket import TokenBucket, shares
from node.engine.builtin.sessions.client import ClientProxy
from node.engine.builtin.sessions.rate_limit import UP, Levels, Relay

RESUMED_AT_ONCE = 32
"""Relays resumed at once; thousands may have waited for the same moment."""
ROUND_S = 0.02
"""Time between two rounds of a direction in which relays wait."""


class Lane:
    """One direction. While no relay waits, the first to ask gets what there is; otherwise all take turns, in equal
    shares.

    One timer, set only while a relay waits. What was granted but not used returns to the bucket at the next round.
    """

    __slots__ = ("_credit", "_reactor", "_seen", "_timer", "_waiting", "bucket")

    def __init__(self, reactor: Reactor, rate: float, seen: int) -> None:
        self.bucket = TokenBucket(rate, monotonic())
        self._reactor = reactor
        self._seen = seen
        self._waiting: dict[Relay, None] = {}
        self._credit: dict[Relay, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def allowance(self, relay: Relay, requested: int, moved: int) -> int:
        """See RateLimit. `moved` is the total that has moved in this direction."""
        self._catch_up(moved)
        credit = self._credit.get(relay, 0)
        if not credit and not self._timer and not self.bucket.wait():
            credit = int(self.bucket.level)
        elif credit:
            self._credit[relay] = credit - min(credit, requested)
        if not credit:
            self._waiting[relay] = None
            self._start_timer()
        return min(credit, requested)

    def left(self, moved: int) -> float:
        """Bytes saved up or overdrawn."""
        self._catch_up(moved)
        return self.bucket.level

    def retune(self, rate: float) -> None:
        self.bucket.retune(rate, monotonic())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._start_timer()

    def close(self) -> None:
        """Release all waiting relays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        resume(self._reactor, list(waiting))

    def _catch_up(self, moved: int) -> None:
        self.bucket.spend(moved - self._seen)
        self._seen = moved
        self.bucket.fill(monotonic())

    def _start_timer(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._reactor.loop.call_later(max(ROUND_S, self.bucket.wait()), self._grant)

    def _grant(self) -> None:
        self._timer = None
        self.bucket.fill(monotonic())
        served, share = shares(self.bucket.level, len(self._waiting))
        granted = [relay for relay, _ in zip(self._waiting, range(served), strict=False)]
        self._credit = dict.fromkeys(granted, share)
        for relay in granted:
            del self._waiting[relay]
        self._timer = self._reactor.loop.call_later(max(ROUND_S, self.bucket.wait()), self._grant) if granted else None
        self._start_timer()
        resume(self._reactor, granted)


class Throttle:
    """The rate limit of a proxy. Without a bandwidth limit only the end of its traffic is watched."""

    __slots__ = ("_lanes", "_proxy", "_reactor", "_stalled")

    def __init__(self, reactor: Reactor, proxy: ClientProxy) -> None:
        self._reactor = reactor
        self._proxy = proxy
        self._lanes: tuple[Lane, Lane] | None = None
        self._stalled: dict[Relay, None] = {}

    def allowance(self, relay: Relay, direction: int, requested: int) -> int:
        proxy = self._proxy
        if proxy.stop_at is not None:
            left = proxy.stop_at - proxy.received - proxy.sent
            if left <= 0:
                self._stall(relay)
                return 0
            requested = min(requested, left)
        if self._lanes is None:
            return requested
        moved = proxy.received if direction == UP else proxy.sent
        return self._lanes[direction].allowance(relay, requested, moved)

    @property
    def levels(self) -> Levels | None:
        if self._lanes is None:
            return None
        up, down = self._lanes
        return up.left(self._proxy.received), down.left(self._proxy.sent)

    def restore(self, levels: Levels) -> None:
        for lane, level in zip(self._lanes or (), levels, strict=False):
            lane.bucket.level = level

    def tune(self, bandwidth_bps: int | None) -> None:
        """See RateLimit."""
        lanes, proxy = self._lanes, self._proxy
        if bandwidth_bps is None:
            self._lanes = None
            for lane in lanes or ():
                lane.close()
        elif lanes is None:
            rate = bandwidth_bps / 8
            self._lanes = Lane(self._reactor, rate, proxy.received), Lane(self._reactor, rate, proxy.sent)
        else:
            for lane in lanes:
                lane.retune(bandwidth_bps / 8)

    def _stall(self, relay: Relay) -> None:
        """Suspend the proxy because its traffic is used up; not right here, in the middle of a relay, but soon
        after."""
        if not self._stalled:
            self._reactor.loop.call_soon(self._enforce_quota)
        self._stalled[relay] = None

    def _enforce_quota(self) -> None:
        stalled, self._stalled = self._stalled, {}
        self._proxy.apply_limits(time.time())
        resume(self._reactor, list(stalled))


def resume(reactor: Reactor, relays: list[Relay]) -> None:
    """Let relays continue, a bounded number at once, so that the data path runs in between."""
    for relay in relays[:RESUMED_AT_ONCE]:
        reactor.run(relay, relay.resume)
    if len(relays) > RESUMED_AT_ONCE:
        reactor.loop.call_soon(resume, reactor, relays[RESUMED_AT_ONCE:])
