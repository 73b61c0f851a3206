"""Up to which revision a node has done what its lists said."""

from node.reconcile.progress import Progress
from node.state.local_copy import CopyChange


def listed(rev: int, want: dict[int, int] | None = None, drop: frozenset[int] = frozenset()) -> CopyChange:
    return CopyChange(verdict="taken", rev=rev, seen=rev, top=0, want=want or {}, drop=drop)


def fresh() -> Progress:
    """Of an agent that has asked its engines, and has nothing to do at revision 5."""
    progress = Progress({})
    assert progress.done(5, {}.get) == 5
    return progress


def test_what_an_earlier_agent_has_done_is_not_known_before_the_engines_were_asked():
    assert Progress({1: 1}).done(5, {0: 0, 1: 0}.get) == 0
    assert Progress({}).done(5, {0: 0}.get) == 0


def test_a_list_is_done_when_nothing_of_it_is_left_to_do():
    progress = fresh()
    progress.took(listed(6, {1: 1, 2: 1}), 5)
    assert progress.done(6, {1: 0, 2: 0}.get) == 5
    assert progress.done(6, {2: 0}.get) == 5
    assert progress.done(6, {}.get) == 6


def test_a_list_is_done_although_another_has_come_meanwhile():
    progress = fresh()
    for rev in range(6, 100):
        progress.took(listed(rev, {rev: 1}), rev - 1)
        assert progress.done(rev, {rev: 0}.get) == rev - 1


def test_a_proxy_that_changes_all_the_time_holds_up_no_more_than_the_versions_that_it_did_not_reach():
    progress = fresh()
    for rev in range(6, 100):
        progress.took(listed(rev, {1: rev}), rev - 1)
        assert progress.done(rev, {1: rev - 3}.get) == max(5, rev - 3)


def test_a_version_that_a_later_one_follows_before_it_runs_is_not_done():
    progress = fresh()
    progress.took(listed(6, {1: 2}), 5)
    progress.took(listed(7, {1: 3}), 6)
    assert progress.done(7, {1: 1}.get) == 5
    assert progress.done(7, {1: 2}.get) == 6
    assert progress.done(7, {}.get) == 7


def test_a_removal_is_done_when_the_proxy_has_stopped():
    progress = fresh()
    progress.took(listed(6, drop=frozenset([1])), 5)
    assert progress.done(6, {1: 4}.get) == 5
    assert progress.done(6, {}.get) == 6


def test_a_list_of_the_same_revision_that_wants_something_else_takes_back_what_was_done():
    progress = fresh()
    progress.took(listed(5, {1: 1}), 5)
    assert progress.done(5, {1: 0}.get) == 4
