"""Which counters a node tells, and how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.agent import usage_reports
from node.agent.usage_reports import REPEATS_S, ReportedCounters, UsageReports, due, fitting, reported_again
from node.engine.interface import Counters
from shared.messages.writing import usage_size
from shared.proxies import ProxyId, ProxyRecord, Version


def counters(id_: int = 1, sent: int = 10, epoch: int = 1) -> Counters:
    return Counters(ProxyId(id_), epoch, 0, sent, 0, {})


def told(one: Counters, times: int = 1, at: float = 100.0) -> dict[tuple[int, int], ReportedCounters]:
    return {(one.id, one.epoch): ReportedCounters(one, times, at)}


def test_what_changed_is_due_at_once_and_what_did_not_is_left_alone():
    assert due([counters(sent=11)], told(counters(sent=10)), 100.1) == [counters(sent=11)]
    assert due([counters()], told(counters()), 100.1) == []


@pytest.mark.parametrize(
    ("times", "after_s"), [(1, REPEATS_S[0]), (2, REPEATS_S[1]), (3, REPEATS_S[2]), (9, REPEATS_S[2])]
)
def test_what_stands_still_is_repeated_ever_more_slowly(times: int, after_s: float):
    known = told(counters(), times)
    assert due([counters()], known, 100 + after_s - 1) == []
    assert due([counters()], known, 100 + after_s) == [counters()]


def test_the_longest_silent_are_told_first():
    known = told(counters(1), at=200.0) | told(counters(2), at=100.0)
    changed = [counters(1, sent=99), counters(2, sent=99), counters(3)]
    assert [one.id for one in due(changed, known, 300.0)] == [3, 2, 1]


def test_a_telling_of_the_same_figures_counts_and_of_others_begins_anew():
    again = reported_again(ReportedCounters(counters(), 2, 100.0), counters(), 200.0)
    assert again == ReportedCounters(counters(), 3, 200.0)
    assert reported_again(again, counters(sent=11), 300.0) == ReportedCounters(counters(sent=11), 1, 300.0)


@given(
    st.lists(st.builds(counters, st.integers(1, 2**63 - 1), st.integers(0, 2**63 - 1)), max_size=50),
    st.integers(0, 3000),
)
def test_the_first_that_fit_are_told_and_never_more(some: list[Counters], room: int):
    chosen = fitting(some, room)
    assert [one.id for one in chosen] == [one.id for one in some[: len(chosen)]]
    assert sum(usage_size(one) for one in chosen) <= room
    if len(chosen) < len(some):
        assert sum(usage_size(one) for one in fitting(some[: len(chosen) + 1], 10**6)) > room


@dataclass
class Engine:
    """Counts nothing of its own: tells `counted`, as an engine would, and remembers what was taken."""

    counted: list[Counters]
    given: list[Counters] = field(default_factory=list[Counters])

    async def usage(self) -> Sequence[Counters]:
        return self.counted

    async def taken(self, counters: Sequence[Counters]) -> None:
        self.given += counters

    async def running(self) -> Mapping[ProxyId, Version]:
        return {}

    async def start(self, proxy: ProxyRecord) -> None:
        raise NotImplementedError

    async def stop(self, proxy_id: ProxyId) -> None:
        raise NotImplementedError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(usage_reports, "time", type("Clock", (), {"monotonic": staticmethod(lambda: now[0])}))
    return now


async def next_ids(usage_reports: UsageReports, room: int = 10_000) -> list[int]:
    await usage_reports.collect()
    chosen = usage_reports.next(room)
    await usage_reports.sent(chosen)
    return [one.id for one in chosen]


async def test_what_does_not_fit_is_told_the_next_time(clock: list[float]):
    usage_reports = UsageReports([Engine([counters(id_) for id_ in range(1, 11)])])
    first = await next_ids(usage_reports, 150)
    assert usage_reports.more
    assert first + await next_ids(usage_reports) == list(range(1, 11))
    assert not usage_reports.more


async def test_counters_are_given_back_as_taken_when_they_were_told_three_times(clock: list[float]):
    engine = Engine([counters()])
    usage_reports = UsageReports([engine])
    for _ in range(3):
        assert engine.given == []
        assert await next_ids(usage_reports) == [1]
        clock[0] += REPEATS_S[1]
    assert engine.given == [counters()]


async def test_what_grew_while_it_was_sent_is_told_again(clock: list[float]):
    engine = Engine([counters(1), counters(2)])
    usage_reports = UsageReports([engine])
    await usage_reports.collect()
    chosen = usage_reports.next(10_000)
    engine.counted = [counters(1, sent=99), counters(2)]
    await usage_reports.collect()
    await usage_reports.sent(chosen)
    assert [(one.id, one.sent_bytes) for one in usage_reports.next(10_000)] == [(1, 99)]


async def test_what_was_not_sent_stays_due(clock: list[float]):
    usage_reports = UsageReports([Engine([counters()])])
    await usage_reports.collect()
    assert len(usage_reports.next(10_000)) == 1
    clock[0] += 10
    assert await next_ids(usage_reports) == [1]
