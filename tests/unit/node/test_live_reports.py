"""Which live figures a node reports, how it computes them, and how often it repeats them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from node.agent import live_reports
from node.agent.host_load import CpuTimes, cpu_share, cpu_times, memory_share
from node.agent.live_reports import LiveReports, LoadSample, bits_per_second, figures_of, growth
from node.agent.usage_reports import epoch_key
from node.engine.interface import Counters, EngineError
from shared.messages.bodies import LiveFigures
from shared.proxies import ProxyId, ProxyRecord, Version

STARTED_US = 1_000_000


def counters(id_: int = 1, *, received: int = 0, sent: int = 0, epoch: int = STARTED_US) -> Counters:
    return Counters(ProxyId(id_), epoch, received, sent, 0, {})


def sample(at: float, *some: Counters, cpu: CpuTimes | None = None) -> LoadSample:
    return LoadSample(at, STARTED_US + int(at * 1e6), {epoch_key(one): one for one in some}, cpu)


def test_growth_is_summed_over_the_lives_of_a_proxy():
    before = sample(0, counters(sent=100))
    after = sample(10, counters(sent=150), counters(received=7, sent=20, epoch=STARTED_US + 5_000_000))
    assert growth(before, after) == {1: (7, 70)}


def test_counters_of_a_worker_that_was_silent_are_not_taken_for_new_traffic():
    assert growth(sample(5), sample(10, counters(sent=10**12))) == {}


@pytest.mark.parametrize(
    ("count", "rate"), [(0, 0), (1, 1), (1_234, 990), (1_246, 1_000), (10**9, 800_000_000), (10**15, 10**12)]
)
def test_a_rate_has_two_digits_so_that_it_seldom_changes(count: int, rate: int):
    assert bits_per_second(count, 10) == rate


def test_a_proxy_with_neither_connections_nor_traffic_has_no_figures():
    moved = {ProxyId(1): (10, 100), ProxyId(2): (0, 0)}
    assert figures_of(moved, {ProxyId(3): 4}, 8) == {
        1: LiveFigures(id=1, rx_bps=10, tx_bps=100),
        3: LiveFigures(id=3, connections=4),
    }


def test_the_hosts_load_is_read_from_proc():
    before, after = cpu_times("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1\n"), cpu_times("cpu  130 0 60 850 60 0 0 0 9 9\n")
    assert cpu_share(before, after) == 0.4
    assert memory_share("MemTotal:       1000 kB\nMemFree:  10 kB\nMemAvailable:    580 kB\n") == 0.42


def test_a_host_that_shows_nothing_has_no_load():
    assert cpu_times("") is None
    assert cpu_share(None, CpuTimes(1, 1)) is None
    assert memory_share("MemTotal: 1000 kB\n") is None


@dataclass
class Engine:
    """An engine of which only the open connections matter."""

    open: dict[ProxyId, int] = field(default_factory=dict[ProxyId, int])
    is_silent: bool = False
    at_once: int = 1

    async def connections(self) -> Mapping[ProxyId, int]:
        if self.is_silent:
            raise EngineError("it does not answer")
        return dict(self.open)

    async def running(self) -> Mapping[ProxyId, Version]:
        return {}

    async def start(self, proxy: ProxyRecord) -> None: ...

    async def stop(self, proxy_id: ProxyId) -> None: ...


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock's time, to be set by the test."""
    now = [100.0]
    clock = {"monotonic": staticmethod(lambda: now[0]), "time_ns": staticmethod(lambda: int(now[0] * 1e9))}
    monkeypatch.setattr(live_reports, "time", type("Clock", (), clock))
    return now


async def reported(live: LiveReports, now: list[float], *some: Counters, room: int = 10_000) -> list[tuple[int, int]]:
    """Collect five seconds later, and report what fits."""
    now[0] += 5
    await live.collect({epoch_key(one): one for one in some})
    chosen = live.next(room)
    live.sent(chosen)
    return [(one.id, one.connections) for one in chosen]


async def test_only_proxies_whose_figures_changed_are_reported(now: list[float]):
    live = LiveReports([engine := Engine({ProxyId(1): 3, ProxyId(2): 1})])
    assert await reported(live, now) == []
    assert sorted(await reported(live, now)) == [(1, 3), (2, 1)]
    engine.open[ProxyId(2)] = 5
    assert await reported(live, now) == [(2, 5)]
    del engine.open[ProxyId(1)]
    assert await reported(live, now) == [(1, 0)]
    assert await reported(live, now) == []


async def test_figures_are_repeated_every_minute_unless_they_are_zero(now: list[float]):
    live = LiveReports([Engine({ProxyId(1): 3})])
    rounds = [await reported(live, now) for _ in range(15)]
    assert [place for place, each in enumerate(rounds) if each] == [1, 13]


async def test_what_does_not_fit_waits_for_the_next_report(now: list[float]):
    live = LiveReports([Engine({ProxyId(id_): 1 for id_ in range(1, 11)})])
    await reported(live, now)
    first = await reported(live, now, room=120)
    assert 0 < len(first) < 10
    assert live.more
    assert sorted(first + await reported(live, now)) == [(id_, 1) for id_ in range(1, 11)]
    assert not live.more


async def test_an_engine_that_does_not_answer_keeps_its_last_connections(now: list[float]):
    live = LiveReports([engine := Engine({ProxyId(1): 3})])
    await reported(live, now)
    await reported(live, now)
    engine.is_silent = True
    assert await reported(live, now) == []
    assert live.load is not None
    assert live.load.connections == 3


async def test_the_nodes_load_is_the_sum_over_its_proxies_in_the_last_fifteen_seconds(now: list[float]):
    live = LiveReports([Engine({ProxyId(1): 3, ProxyId(2): 4})])
    for sent in (0, 1_500, 3_000, 4_500):
        await reported(live, now, counters(sent=sent), counters(2, received=sent))
    assert live.load is not None
    assert (live.load.connections, live.load.rx_bps, live.load.tx_bps) == (7, 2_400, 2_400)
