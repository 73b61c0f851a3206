"""Decides which name is looked up next, so that neither one proxy nor hundreds of them keep another one waiting.

A lookup whose name server is silent occupies its thread for 5 to 10 s (resolv.conf(5), timeout and attempts) and
cannot be cancelled. Others are therefore started beside it as soon as it is slow, up to MAX_LOOKUPS in total.
"""

from dataclasses import dataclass, field

MAX_LOOKUPS = 256
"""Lookups at once."""
SLOW_S = 0.4
"""The age at which a lookup counts as slow. Most names resolve faster, even if no cache has them."""

_RESERVE = 32
"""The part of MAX_LOOKUPS reserved for the first lookup of a proxy that has cost little recently."""
_YOUNG = 64
"""Lookups younger than SLOW_S at once, apart from the first of each proxy: this spreads a burst of many proxies."""
_YOUNG_OF_ONE = 8
"""The same for a single proxy."""
_HALF_LIFE_S = 60.0
"""Half-life of the cost of slow lookups; see ProxyLookups.cost."""
_ASSUMED_S = 2.0
"""Assumed cost of a slow lookup until it ends."""
_EXPENSIVE_S = 1.0
"""A proxy that has cost this much is served after the others."""
_MAX_QUEUED = 256
"""Queued names of one proxy; further ones fail at once."""
_MAX_QUEUED_IN_ALL = 16_384
_MAX_IDLE = 1024


@dataclass(eq=False, slots=True)
class ProxyLookups:
    """The lookups of one proxy: `running` are in progress, of which `young` are not slow yet; `queue` holds waiting
    names."""

    id: int
    running: int = 0
    young: int = 0
    queue: dict[str, None] = field(default_factory=dict[str, None])
    _cost: float = 0.0
    _at: float = 0.0

    def cost(self, now: float) -> float:
        """Seconds that slow lookups have taken, weighted by how recent they are."""
        return self._cost * 0.5 ** ((now - self._at) / _HALF_LIFE_S) if self._cost else 0.0

    def charge(self, seconds: float, now: float) -> None:
        self._cost, self._at = self.cost(now) + seconds, now

    def is_expensive(self, now: float) -> bool:
        return self.cost(now) >= _EXPENSIVE_S


class LookupQueue:
    """Distributes the capacity for lookups.

    A proxy's first lookup starts at once. Beyond that it may have half as many as are still free: a single proxy gets
    many, many proxies get fewer each, and there is always room for another one.
    """

    def __init__(self) -> None:
        self._by_proxy: dict[int, ProxyLookups] = {}
        self._queued: dict[ProxyLookups, None] = {}
        self._firsts: dict[ProxyLookups, None] = {}
        self._waiting = self._running = self._young = 0

    def of(self, proxy_id: int) -> ProxyLookups:
        found = self._by_proxy.get(proxy_id)
        if found is None:
            found = self._by_proxy[proxy_id] = ProxyLookups(proxy_id)
        return found

    def may_begin(self, lookups: ProxyLookups, now: float) -> bool:
        """Whether this proxy's next lookup may start at once. Waiting proxies were served when capacity last became
        free."""
        free = MAX_LOOKUPS - self._running
        if not lookups.running and not lookups.is_expensive(now):
            return free > 0
        return self._has_some(free) and self._has_room(lookups, free)

    def begin(self, lookups: ProxyLookups) -> None:
        self._running += 1
        self._young += 1
        lookups.running += 1
        lookups.young += 1

    def slow(self, lookups: ProxyLookups, now: float) -> None:
        """Record that one of its lookups has become slow."""
        self._young -= 1
        lookups.young -= 1
        lookups.charge(_ASSUMED_S, now)

    def end(self, lookups: ProxyLookups, now: float, *, young: bool, took_s: float) -> None:
        self._running -= 1
        lookups.running -= 1
        if young:
            self._young -= 1
            lookups.young -= 1
        else:
            lookups.charge(took_s - _ASSUMED_S, now)
        self._forget(lookups, now)

    def queue(self, lookups: ProxyLookups, host: str, now: float) -> bool:
        """Queue a name; False if the queue is full."""
        if host in lookups.queue:
            return True
        if len(lookups.queue) >= _MAX_QUEUED or (lookups.queue and self._waiting >= _MAX_QUEUED_IN_ALL):
            return False
        lookups.queue[host] = None
        self._queued[lookups] = None
        if not lookups.running and not lookups.is_expensive(now):
            self._firsts[lookups] = None
        self._waiting += 1
        return True

    def leave(self, lookups: ProxyLookups, host: str, now: float) -> None:
        """Remove a name from a proxy's queue."""
        if host in lookups.queue:
            del lookups.queue[host]
            self._waiting -= 1
            if not lookups.queue:
                del self._queued[lookups]
                self._firsts.pop(lookups, None)
                self._forget(lookups, now)

    def next(self, now: float) -> tuple[ProxyLookups, str] | None:
        """Take the next name out of a queue: proxies in rotation, then the one that has cost least."""
        free = MAX_LOOKUPS - self._running
        if not self._queued or not free:
            return None
        some = self._has_some(free)
        for lookups in self._queued if some else self._firsts:
            if (some or not lookups.running) and self._has_room(lookups, free) and not lookups.is_expensive(now):
                return lookups, self._dequeued(lookups, next(iter(lookups.queue)))
        expensive = [lookups for lookups in self._queued if self._has_room(lookups, free)] if some else []
        if not expensive:
            return None
        cheapest = min(expensive, key=lambda lookups: lookups.cost(now))
        # Those who asked for the other names have waited longest and are the most likely to have given up.
        return cheapest, self._dequeued(cheapest, next(reversed(cheapest.queue)))

    def _has_some(self, free: int) -> bool:
        """Whether there is capacity for more than the first lookup of each proxy."""
        return free > _RESERVE and self._young < _YOUNG

    def _has_room(self, lookups: ProxyLookups, free: int) -> bool:
        return not lookups.running or (lookups.young < _YOUNG_OF_ONE and lookups.running < free // 2)

    def _dequeued(self, lookups: ProxyLookups, host: str) -> str:
        del lookups.queue[host], self._queued[lookups]
        self._firsts.pop(lookups, None)
        self._waiting -= 1
        if lookups.queue:
            self._queued[lookups] = None
        return host

    def _forget(self, lookups: ProxyLookups, now: float) -> None:
        """Forget a proxy without lookups, unless it has recent costs to be remembered."""
        if _is_idle(lookups, now):
            self._by_proxy.pop(lookups.id, None)
        elif len(self._by_proxy) > _MAX_IDLE + len(self._queued) + self._running:
            self._by_proxy = {each.id: each for each in self._by_proxy.values() if not _is_idle(each, now)}


def _is_idle(lookups: ProxyLookups, now: float) -> bool:
    return not lookups.running and not lookups.queue and lookups.cost(now) < _EXPENSIVE_S / 10
