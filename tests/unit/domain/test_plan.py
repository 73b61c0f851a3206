"""Which of a stack's proxies go, and how many come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.stacks.plan import DesiredStack, difference
from master.errors import Invalid
from shared.proxies import ProxyId

members = st.lists(st.integers(1, 50).map(ProxyId), unique=True, max_size=20).map(sorted)


def goal(count: int | None = None, *remove: int) -> DesiredStack:
    named = [ProxyId(id_) for id_ in remove]
    return DesiredStack(name="shop", spread="nodes", proxy={}, labels={}, count=count, remove=named)


def test_of_fewer_the_newest_go():
    assert difference([ProxyId(3), ProxyId(5), ProxyId(9)], goal(1)) == ({5, 9}, 0)


def test_those_that_are_named_go_before_the_newest():
    assert difference([ProxyId(3), ProxyId(5), ProxyId(9)], goal(1, 3)) == ({3, 9}, 0)


def test_without_a_count_only_those_that_are_named_go():
    assert difference([ProxyId(3), ProxyId(5), ProxyId(9)], goal(None, 5)) == ({5}, 0)


def test_those_that_are_named_are_made_up_for():
    assert difference([ProxyId(3), ProxyId(5)], goal(4, 5)) == ({5}, 3)


def test_strangers_are_pointed_at():
    with pytest.raises(Invalid) as refused:
        difference([ProxyId(3)], goal(None, 3, 4))
    assert [one["pointer"] for one in refused.value.members["errors"]] == ["/remove/1"]


@given(members, st.integers(0, 30), st.data())
def test_there_are_as_many_as_are_wanted_and_nobody_goes_and_comes_without_need(
    ids: list[ProxyId], count: int, data: st.DataObject
):
    named = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    goes, comes = difference(ids, goal(count, *named))
    assert len(ids) - len(goes) + comes == count
    assert comes == 0 or goes == set(named)
    assert goes >= set(named)
