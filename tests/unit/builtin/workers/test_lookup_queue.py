"""Whose name is looked up next, played with a clock of its own: dead names take ten seconds, good ones 20 ms."""

from collections.abc import Iterable
from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.net.dns.lookup_queue import MAX_LOOKUPS, SLOW_S, LookupQueue, ProxyLookups

DEAD_S, GOOD_S = 10.0, 0.02


class Play:
    """Proxies that ask for names; `began` tells when each name began, `now` is the time."""

    def __init__(self) -> None:
        self.queue = LookupQueue()
        self.now = 0.0
        self.began: dict[str, float] = {}
        self._held = 0
        self._events: list[tuple[float, int, str, ProxyLookups, bool]] = []

    def ask(self, proxy: int, host: str) -> bool:
        lookups = self.queue.of(proxy)
        if self.queue.may_begin(lookups, self.now):
            self._begin(lookups, host)
            return True
        return self.queue.queue(lookups, host, self.now)

    def until(self, moment: float) -> None:
        while self._events and self._events[0][0] <= moment:
            self.now, _, kind, lookups, young = heappop(self._events)
            if kind == "slow":
                self.queue.slow(lookups, self.now)
            else:
                self._held -= 1
                self.queue.end(lookups, self.now, young=young, took_s=GOOD_S if young else DEAD_S)
            self._go_on()
        self.now = moment

    def _begin(self, lookups: ProxyLookups, host: str) -> None:
        self._held += 1
        assert self._held <= MAX_LOOKUPS
        self.queue.begin(lookups)
        self.began[host] = self.now
        takes_s = DEAD_S if "dead" in host else GOOD_S
        self._later(takes_s, "end", lookups, young=takes_s < SLOW_S)
        if takes_s >= SLOW_S:
            self._later(SLOW_S, "slow", lookups)

    def _later(self, seconds: float, kind: str, lookups: ProxyLookups, *, young: bool = False) -> None:
        heappush(self._events, (self.now + seconds, len(self.began) * 2 + (kind == "end"), kind, lookups, young))

    def _go_on(self) -> None:
        while (turn := self.queue.next(self.now)) is not None:
            self._begin(*turn)

    def attack(self, proxies: Iterable[int], names: int, tag: str = "") -> None:
        for proxy in proxies:
            for number in range(names):
                self.ask(proxy, f"dead-{tag}-{proxy}-{number}")

    def waits(self, proxy: int, host: str) -> float:
        """How long a name waits until it begins; the time goes on to there."""
        asked = self.now
        self.ask(proxy, host)
        while host not in self.began:
            self.until(self.now + 0.01)
            assert self.now < asked + 60
        return self.began[host] - asked


@pytest.mark.parametrize("attackers", [1, 4, 8, 50, 150])
def test_another_proxys_name_begins_at_once_whatever_many_ask_for(attackers: int) -> None:
    play = Play()
    play.attack(range(attackers), 24)
    for number in range(100):
        assert play.waits(1000 + number, f"good-{number}") == 0
        play.until(play.now + 0.1)


@pytest.mark.parametrize("attackers", [1, 4, 8])
def test_a_good_name_of_a_proxy_with_dead_ones_begins_within_a_second(attackers: int) -> None:
    play = Play()
    play.attack(range(attackers), 24)
    assert max(play.waits(proxy, f"good-{proxy}") for proxy in range(attackers)) < 1


def test_more_proxies_than_there_is_room_for_are_known_after_their_first_slow_names() -> None:
    """A thousand that never stop: until then somebody may wait, afterwards nobody who has no slow names."""
    play = Play()
    for turn in range(40):
        play.attack(range(1000), 3, str(turn))
        play.until(play.now + 1)
    for number in range(50):
        play.attack(range(1000), 3, f"later-{number}")
        assert play.waits(5000 + number, f"good-{number}") == 0
        play.until(play.now + 0.5)


def test_many_names_of_one_proxy_are_looked_up_side_by_side_while_another_holds_dead_ones() -> None:
    play = Play()
    play.attack([1], 200)
    for number in range(100):
        play.ask(2, f"good-{number}")
    play.until(2)
    assert sum(name.startswith("good") for name in play.began) == 100


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30), st.booleans()), max_size=120))
def test_every_name_that_waits_begins_in_the_end(asked: list[tuple[int, int, bool]]) -> None:
    play = Play()
    waiting: set[str] = set()
    for proxy, number, dead in asked:
        host = f"{'dead' if dead else 'good'}-{proxy}-{number}"
        if host not in waiting and play.ask(proxy, host):
            waiting.add(host)
    play.until(2000)
    assert waiting == play.began.keys()


def test_a_proxy_that_has_left_its_queue_is_forgotten() -> None:
    queue = LookupQueue()
    lookups = queue.of(1)
    queue.queue(lookups, "name", 0.0)
    queue.leave(lookups, "name", 0.0)
    assert queue.next(0.0) is None
    assert queue.of(1) is not lookups
