"""Which nodes take many proxies at once, and why they do not all fit."""

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.placement.candidates import Candidate, Demand, obstacle
from master.placement.spread import Shortage, Spread, SpreadNode, spread_proxies
from shared.proxies import NodeId

ANY = Demand(engine="builtin")


def site(
    id_: int, *, count: int = 0, most: int = 100, own: int = 0, place: int | None = 1, ip: str = "", **how: int
) -> SpreadNode:
    """A node that may take proxies, with an ip of its own."""
    ports = {"port_from": 20000, "port_to": 20099, "used": count} | how
    node = Candidate(id=NodeId(id_), state="active", has_engine=True, count=count, max_proxies=most, **ports)
    return SpreadNode(candidate=node, ip=ip or f"10.0.0.{id_}", location_id=place, own=own)


@st.composite
def fleets(draw: st.DrawFn) -> list[SpreadNode]:
    found: list[SpreadNode] = []
    for id_ in draw(st.lists(st.integers(1, 20), unique=True, max_size=8)):
        low = draw(st.integers(20000, 20004))
        size = draw(st.integers(1, 6))
        used = draw(st.integers(0, size))
        count = draw(st.integers(0, 6))
        node = Candidate(
            id=NodeId(id_),
            state=draw(st.sampled_from(["active", "active", "active", "draining", "disabled"])),
            has_engine=draw(st.integers(0, 5)) > 0,
            count=count,
            max_proxies=draw(st.integers(0, 8)),
            port_from=low,
            port_to=low + size - 1,
            used=used,
        )
        ip, place = (
            draw(st.sampled_from(["10.0.0.1", "10.0.0.2", f"10.0.1.{id_}"])),
            draw(st.sampled_from([None, 1, 2])),
        )
        found.append(SpreadNode(candidate=node, ip=ip, location_id=place, own=draw(st.integers(0, count))))
    return found


spreads = st.sampled_from(get_args(Spread))
counts = st.integers(0, 40)


def given_to(chosen: tuple[NodeId, ...] | Shortage) -> Counter[int]:
    if isinstance(chosen, Shortage):
        return Counter({share.node_id: share.possible for share in chosen.by_node})
    return Counter(chosen)


@given(fleets(), counts, spreads)
def test_all_are_placed_or_the_shortage_says_how_many_can_be(fleet: list[SpreadNode], count: int, spread: Spread):
    chosen = spread_proxies(fleet, ANY, count, spread)
    if isinstance(chosen, Shortage):
        assert chosen.possible < count
        assert sum(share.possible for share in chosen.by_node) == chosen.possible
        assert [share.node_id for share in chosen.by_node] == sorted(one.candidate.id for one in fleet)
        assert all(share.reason for share in chosen.by_node)
    else:
        assert len(chosen) == count


@given(fleets(), counts, spreads)
def test_no_node_is_given_more_than_it_may_have(fleet: list[SpreadNode], count: int, spread: Spread):
    got = given_to(spread_proxies(fleet, ANY, count, spread))
    for one in fleet:
        assert got[one.candidate.id] == 0 or obstacle(one.candidate, ANY) is None
        assert got[one.candidate.id] <= max(0, one.candidate.max_proxies - one.candidate.count)


@given(fleets(), counts, spreads)
def test_every_node_finds_its_ports_whichever_of_them_the_others_on_its_ip_take(
    fleet: list[SpreadNode], count: int, spread: Spread
):
    got = given_to(spread_proxies(fleet, ANY, count, spread))
    for one in fleet:
        sharing = [other for other in fleet if one.shares_ports_with(other)]
        if got[one.candidate.id]:
            assert sum(got[other.candidate.id] for other in sharing) <= one.free


@given(fleets(), counts, spreads)
def test_the_order_in_which_nodes_are_told_says_nothing(fleet: list[SpreadNode], count: int, spread: Spread):
    assert spread_proxies(fleet, ANY, count, spread) == spread_proxies(fleet[::-1], ANY, count, spread)


@given(fleets(), counts)
def test_a_node_has_at_most_one_more_than_any_that_could_take_another(fleet: list[SpreadNode], count: int):
    chosen = spread_proxies(fleet, ANY, count, "nodes")
    if isinstance(chosen, Shortage):
        return
    got = Counter(chosen)
    longer = spread_proxies(fleet, ANY, count + 1, "nodes")
    if not isinstance(longer, Shortage):
        [last] = Counter(longer) - got
        own = {one.candidate.id: one.own + got[one.candidate.id] for one in fleet}
        assert all(own[id_] <= own[last] + 1 for id_ in got)


@given(fleets(), counts)
def test_a_location_has_at_most_one_more_than_any_that_could_take_another(fleet: list[SpreadNode], count: int):
    longer = spread_proxies(fleet, ANY, count + 1, "locations")
    if isinstance(longer, Shortage):
        return
    where = {one.candidate.id: one.location_id for one in fleet}
    got = Counter(where[id_] for id_ in longer[:-1])
    own = Counter(got)
    for one in fleet:
        if obstacle(one.candidate, ANY) is None:
            own[one.location_id] += one.own
    assert all(own[place] <= own[where[longer[-1]]] + 1 for place in got)


@given(fleets(), counts, spreads)
def test_the_first_of_many_are_placed_as_if_there_were_no_others(fleet: list[SpreadNode], count: int, spread: Spread):
    longer = spread_proxies(fleet, ANY, count + 1, spread)
    if not isinstance(longer, Shortage):
        assert spread_proxies(fleet, ANY, count, spread) == longer[:-1]


def test_nodes_take_turns():
    assert spread_proxies([site(1), site(2), site(3)], ANY, 5, "nodes") == (1, 2, 3, 1, 2)


def test_those_of_the_stack_count_before_the_load():
    assert spread_proxies([site(1, count=5, own=0), site(2, count=1, own=1)], ANY, 2, "nodes") == (1, 2)


def test_a_full_node_leaves_its_turns_to_the_others():
    assert spread_proxies([site(1, most=1), site(2)], ANY, 4, "nodes") == (1, 2, 2, 2)


def test_locations_take_turns_however_many_nodes_they_have():
    fleet = [site(1, place=1), site(2, place=2), site(3, place=2), site(4, place=2)]
    assert spread_proxies(fleet, ANY, 6, "locations") == (1, 2, 1, 3, 1, 4)


def test_a_pack_fills_the_fullest_node_first():
    assert spread_proxies([site(1, most=3), site(2, count=5, most=7)], ANY, 4, "pack") == (2, 2, 1, 1)


def test_a_pack_goes_on_where_it_is():
    assert spread_proxies([site(1, count=1, own=1), site(2, count=9)], ANY, 2, "pack") == (1, 1)


def test_nodes_that_share_an_ip_and_a_range_share_its_ports():
    fleet = [site(1, ip="10.0.0.9", port_to=20003), site(2, ip="10.0.0.9", port_to=20003)]
    assert spread_proxies(fleet, ANY, 4, "nodes") == (1, 2, 1, 2)
    short = spread_proxies(fleet, ANY, 5, "nodes")
    assert isinstance(short, Shortage)
    assert short.possible == 4


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (site(1, count=4, most=5), "then it is full: 5 of 5 proxies"),
        (site(1, port_to=20000), "then no port of 20000-20000 is free"),
    ],
)
def test_a_shortage_says_why_no_more(one: SpreadNode, reason: str):
    short = spread_proxies([one], ANY, 3, "nodes")
    assert isinstance(short, Shortage)
    assert (short.possible, short.by_node[0].possible, short.by_node[0].reason) == (1, 1, reason)
