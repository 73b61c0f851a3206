"""Decides whose name is looked up next, so that no proxy, nor hundreds of them, keep another one waiting.

A look-up whose name server is silent holds its thread for 5 to 10 s (resolv.conf(5), timeout and attempts) and cannot
be ended. So others begin beside it as soon as it is slow, up to MOST in all.
"""

from dataclasses import dataclass, field

MOST = 256
"""Look-ups at once."""
SLOW_S = 0.4
"""Most names are found sooner, also where no cache has them."""

_RESERVE = 32
"""Of MOST, kept for the first look-up of a proxy that has cost little of late."""
_YOUNG = 64
"""Look-ups that may be younger than SLOW_S beside the first of each proxy: a burst of many proxies spreads."""
_YOUNG_OF_ONE = 8
_HALF_LIFE_S = 60.0
"""Of what slow look-ups have cost; see Asker.cost."""
_ASSUMED_S = 2.0
"""What a look-up that has become slow is taken to cost until it ends."""
_DEAR_S = 1.0
"""A proxy that has cost so much stands behind the others."""
_MOST_QUEUED = 256
"""Names of one proxy that wait for their turn; the next ones fail at once."""
_MOST_QUEUED_IN_ALL = 16_384
_MOST_IDLE = 1024


@dataclass(eq=False, slots=True)
class Asker:
    """One proxy. `held` look-ups are under way for it, `young` of them are not slow yet."""

    id: int
    held: int = 0
    young: int = 0
    queue: dict[str, None] = field(default_factory=dict[str, None])
    _cost: float = 0.0
    _at: float = 0.0

    def cost(self, now: float) -> float:
        """Seconds that slow look-ups have taken; what is long past counts less and less."""
        return self._cost * 0.5 ** ((now - self._at) / _HALF_LIFE_S) if self._cost else 0.0

    def charge(self, seconds: float, now: float) -> None:
        self._cost, self._at = self.cost(now) + seconds, now

    def is_dear(self, now: float) -> bool:
        return self.cost(now) >= _DEAR_S


class LookupQueue:
    """Deals out the room for look-ups.

    A proxy's first look-up begins at once. For more it may hold half as many as are still free: so one alone gets far,
    many get less each, and there is always room for another one.
    """

    def __init__(self) -> None:
        self._askers: dict[int, Asker] = {}
        self._queued: dict[Asker, None] = {}
        self._firsts: dict[Asker, None] = {}
        self._waiting = self._held = self._young = 0

    def asker(self, proxy_id: int) -> Asker:
        found = self._askers.get(proxy_id)
        if found is None:
            found = self._askers[proxy_id] = Asker(proxy_id)
        return found

    def may_begin(self, asker: Asker, now: float) -> bool:
        """Whether this proxy's next look-up begins at once; who waits has been asked when room was made last."""
        free = MOST - self._held
        if not asker.held and not asker.is_dear(now):
            return free > 0
        return self._has_some(free) and self._has_room(asker, free)

    def begin(self, asker: Asker) -> None:
        self._held += 1
        self._young += 1
        asker.held += 1
        asker.young += 1

    def slow(self, asker: Asker, now: float) -> None:
        """One of its look-ups is as old as SLOW_S."""
        self._young -= 1
        asker.young -= 1
        asker.charge(_ASSUMED_S, now)

    def end(self, asker: Asker, now: float, *, young: bool, took_s: float) -> None:
        self._held -= 1
        asker.held -= 1
        if young:
            self._young -= 1
            asker.young -= 1
        else:
            asker.charge(took_s - _ASSUMED_S, now)
        self._forget(asker, now)

    def queue(self, asker: Asker, host: str, now: float) -> bool:
        """Whether there is room to wait."""
        if host in asker.queue:
            return True
        if len(asker.queue) >= _MOST_QUEUED or (asker.queue and self._waiting >= _MOST_QUEUED_IN_ALL):
            return False
        asker.queue[host] = None
        self._queued[asker] = None
        if not asker.held and not asker.is_dear(now):
            self._firsts[asker] = None
        self._waiting += 1
        return True

    def leave(self, asker: Asker, host: str, now: float) -> None:
        """Nobody waits for this name in its queue any more."""
        if host in asker.queue:
            del asker.queue[host]
            self._waiting -= 1
            if not asker.queue:
                del self._queued[asker]
                self._firsts.pop(asker, None)
                self._forget(asker, now)

    def next(self, now: float) -> tuple[Asker, str] | None:
        """Takes the next name out of a queue: of the proxies by turns, then of the one that has cost least."""
        free = MOST - self._held
        if not self._queued or not free:
            return None
        some = self._has_some(free)
        for asker in self._queued if some else self._firsts:
            if (some or not asker.held) and self._has_room(asker, free) and not asker.is_dear(now):
                return asker, self._taken(asker, next(iter(asker.queue)))
        dear = [asker for asker in self._queued if self._has_room(asker, free)] if some else []
        if not dear:
            return None
        cheapest = min(dear, key=lambda asker: asker.cost(now))
        # Whoever asked for the others has waited longest and is the likeliest to have given up.
        return cheapest, self._taken(cheapest, next(reversed(cheapest.queue)))

    def _has_some(self, free: int) -> bool:
        """Whether there is room for more than the first look-up of each proxy."""
        return free > _RESERVE and self._young < _YOUNG

    def _has_room(self, asker: Asker, free: int) -> bool:
        return not asker.held or (asker.young < _YOUNG_OF_ONE and asker.held < free // 2)

    def _taken(self, asker: Asker, host: str) -> str:
        del asker.queue[host], self._queued[asker]
        self._firsts.pop(asker, None)
        self._waiting -= 1
        if asker.queue:
            self._queued[asker] = None
        return host

    def _forget(self, asker: Asker, now: float) -> None:
        """A proxy that wants nothing; one that has cost something of late is remembered for that."""
        if _is_nobody(asker, now):
            self._askers.pop(asker.id, None)
        elif len(self._askers) > _MOST_IDLE + len(self._queued) + self._held:
            self._askers = {each.id: each for each in self._askers.values() if not _is_nobody(each, now)}


def _is_nobody(asker: Asker, now: float) -> bool:
    return not asker.held and not asker.queue and asker.cost(now) < _DEAR_S / 10
