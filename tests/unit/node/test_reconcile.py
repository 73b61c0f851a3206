"""What is stopped and started, and when it is tried again."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from node.engine.interface import EnginePortTaken, ExitFailed
from node.reconcile.plan import (
    RETRY_MOST_S,
    STABLE_S,
    FailedStart,
    ObservedState,
    Running,
    adopted,
    died,
    failed_start,
    plan,
    same_exit,
)
from node.reconcile.retries import Retries
from node.state.local_copy import LocalCopy, StoredProxy
from shared.proxies import Exit, ProxyRecord


def record(id_: int, version: int = 1, port: int = 0) -> ProxyRecord:
    return ProxyRecord(id=id_, version=version, content=0, protocol="http", port=port or 20000 + id_, username="u")


def copy_of(*records: ProxyRecord, rev: int = 1, good: dict[int, ProxyRecord] | None = None) -> LocalCopy:
    proxies = {
        r.id: StoredProxy(id=r.id, version=r.version, content=0, rec_rev=rev, record=r, good=(good or {}).get(r.id))
        for r in records
    }
    return LocalCopy(rev=rev, wanted={r.id: r.version for r in records}, proxies=proxies)


def running(*records: ProxyRecord) -> dict[int, Running]:
    return {r.id: Running(version=r.version, engine="builtin", content=r.content, port=r.port) for r in records}


def test_what_is_wanted_and_does_not_run_is_started():
    assert plan(copy_of(record(1)), ObservedState(), [1]).start == (record(1),)


def test_what_runs_as_wanted_is_left_alone():
    todo = plan(copy_of(record(1)), ObservedState(running=running(record(1))), [1])
    assert (todo.start, todo.stop) == ((), ())


def test_what_is_not_wanted_is_stopped():
    assert plan(copy_of(record(1)), ObservedState(running=running(record(1), record(2))), [1, 2]).stop == (2,)


def test_a_copy_that_never_had_a_list_stops_nothing():
    assert plan(LocalCopy(), ObservedState(running=running(record(1))), [1]).stop == ()


def test_what_is_wanted_but_not_here_yet_runs_on():
    copy = LocalCopy(rev=1, wanted={1: 2})
    assert plan(copy, ObservedState(running=running(record(1))), [1]).stop == ()


def test_a_version_that_failed_waits_for_its_time():
    observed = ObservedState(failed_starts={1: FailedStart(version=1, reason="r", next_at=10)}, now=9)
    assert plan(copy_of(record(1)), observed, [1]).start == ()
    assert plan(copy_of(record(1)), ObservedState(failed_starts=observed.failed_starts, now=10), [1]).start == (
        record(1),
    )


def test_a_new_version_does_not_wait_for_the_trouble_of_the_old_one():
    observed = ObservedState(failed_starts={1: FailedStart(version=1, reason="r", next_at=10)}, now=0)
    assert plan(copy_of(record(1, version=2)), observed, [1]).start == (record(1, version=2),)


def test_while_the_newest_fails_the_last_good_one_is_started_if_nothing_runs():
    old, new = record(1, version=1), record(1, version=2, port=30001)
    trouble = FailedStart(version=2, reason="taken", next_at=10)
    assert plan(copy_of(new, good={1: old}), ObservedState(failed_starts={1: trouble}), [1]).start == (old,)


def test_a_last_good_one_that_fails_too_is_not_tried_before_the_newest_is():
    old, new = record(1, version=1), record(1, version=2)
    trouble = FailedStart(version=2, reason="taken", next_at=10, fallback_failed=True)
    assert plan(copy_of(new, good={1: old}), ObservedState(failed_starts={1: trouble}), [1]).start == ()


def test_a_port_that_a_removed_proxy_leaves_is_free_for_the_next():
    todo = plan(copy_of(record(2, port=20001)), ObservedState(running=running(record(1))), [1, 2])
    assert (todo.stop, todo.start) == ((1,), (record(2, port=20001),))


def test_a_proxy_waits_until_another_of_ours_has_left_its_port():
    moving, follower = record(1, version=2, port=30000), record(2, version=2, port=20001)
    observed = ObservedState(running=running(record(1), record(2)))
    todo = plan(copy_of(moving, follower), observed, [1, 2])
    assert (todo.start, todo.blocked) == ((moving,), (2,))


def test_proxies_that_change_ports_in_a_circle_all_move():
    one, two = record(1, version=2, port=20002), record(2, version=2, port=20001)
    todo = plan(copy_of(one, two), ObservedState(running=running(record(1), record(2))), [1, 2])
    assert todo.stop == (1, 2)
    assert set(todo.start) == {one, two}


@given(st.integers(1, 60))
def test_the_wait_between_two_tries_never_exceeds_its_bound(tries: int):
    trouble = failed_start(FailedStart(version=1, reason="r", tries=tries), 1, "r", now=100.0)
    assert 100 < trouble.next_at <= 100 + RETRY_MOST_S


def test_a_stable_proxy_that_dies_is_back_at_once_and_one_that_keeps_dying_is_not():
    ran = Running(version=1, engine="builtin", since=0)
    assert died(ran, None, STABLE_S) is None
    first = died(ran, None, 1.0)
    assert first is not None
    assert first.next_at == 1.0
    second = died(ran, first, 2.0)
    assert second is not None
    assert second.next_at > 2.0


@given(st.dictionaries(st.integers(1, 8), st.integers(1, 3)), st.dictionaries(st.integers(1, 8), st.integers(1, 3)))
def test_one_pass_over_everything_reaches_what_is_wanted(wanted: dict[int, int], now: dict[int, int]):
    copy = copy_of(*(record(id_, version) for id_, version in wanted.items()))
    observed = ObservedState(running=running(*(record(id_, version) for id_, version in now.items())))
    todo = plan(copy, observed, wanted.keys() | now.keys())
    after = {id_: version for id_, version in now.items() if id_ not in todo.stop}
    assert after | {r.id: r.version for r in todo.start} == wanted


def test_other_contents_under_the_version_that_runs_are_started():
    newest = record(1).model_copy(update={"content": 5})
    copy = copy_of(record(1))
    copy.proxies[1] = replace(copy.proxies[1], content=5, record=newest)
    assert plan(copy, ObservedState(running=running(record(1))), [1]).start == (newest,)


def test_what_an_agent_finds_running_is_what_last_ran_or_is_started_anew():
    known = copy_of(record(1), good={1: record(1)})
    found = adopted(known.proxies[1], 1, "builtin", 0)
    assert plan(known, ObservedState(running={1: found}), [1]).start == ()
    fresh = copy_of(record(1))
    found = adopted(fresh.proxies[1], 1, "builtin", 0)
    assert plan(fresh, ObservedState(running={1: found}), [1]).start == (record(1),)


def test_what_runs_in_another_version_than_ran_last_is_not_believed_to_have_its_port():
    stored = copy_of(record(1, version=2), good={1: record(1)}).proxies[1]
    assert adopted(stored, 2, "builtin", 0).port is None


def leaving(version: int, address: str | None) -> ProxyRecord:
    exit_ = Exit(mode="address", address=address) if address else Exit()
    return record(1, version).model_copy(update={"exit": exit_})


def test_a_record_leaves_as_before_only_when_what_runs_is_known_to_have_the_same_exit():
    before, same, other = leaving(1, "198.51.100.7"), leaving(2, "198.51.100.7"), leaving(2, "198.51.100.8")
    stored = copy_of(same, good={1: before}).proxies[1]
    now = running(before)[1]
    assert same_exit(now, stored, same)
    assert not same_exit(now, stored, other)
    assert not same_exit(None, stored, same)
    assert not same_exit(replace(now, content=None), stored, same)
    assert not same_exit(now, None, same)


def test_a_proxy_that_an_exit_holds_up_is_tried_at_once_when_that_works_again():
    copy = copy_of(leaving(1, "198.51.100.7"))
    troubles = Retries(copy)
    troubles.failed(leaving(1, "198.51.100.7"), ExitFailed("it is not here"))
    troubles.hurry(lambda _: "it is not here")
    assert troubles.due() == set()
    troubles.hurry(lambda _: None)
    assert troubles.due() == {1}


def test_a_proxy_that_fails_for_another_reason_waits_for_its_time():
    troubles = Retries(copy_of(record(1)))
    troubles.failed(record(1), EnginePortTaken("port 20001 is taken"))
    troubles.hurry(lambda _: None)
    assert troubles.due() == set()
