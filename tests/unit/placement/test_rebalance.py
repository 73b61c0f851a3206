"""Who goes where when a node is emptied or a location is balanced."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from master.placement.candidates import Candidate, Obstacle, obstacle
from master.placement.rebalance import MovableProxy, Move, RebalanceNode, assign_nodes, obstacles_text, plan_rebalance
from shared.proxies import NodeId, ProxyId

ADDRESS = {"mode": "address", "address": "192.0.2.1"}


def node(id_: int, count: int = 0, *, most: int = 1000, ports: int = 1000, **more: object) -> RebalanceNode:
    candidate = Candidate(
        id=NodeId(id_),
        state="active",
        has_engine=True,
        count=count,
        max_proxies=most,
        port_from=20_000,
        port_to=20_000 + ports - 1,
        used=count,
    )
    return replace(RebalanceNode(candidate=candidate, ip=f"10.0.0.{id_}", engines=frozenset({"builtin"})), **more)


def proxy(id_: int, node_id: int, **more: object) -> MovableProxy:
    return replace(MovableProxy(id=ProxyId(id_), node_id=NodeId(node_id), engine="builtin"), **more)


def proxies(places: Sequence[RebalanceNode]) -> list[MovableProxy]:
    """As many as each node has."""
    homes = [place.candidate.id for place in places for _ in range(place.candidate.count)]
    return [proxy(id_, node_id) for id_, node_id in enumerate(homes, start=1)]


def after(places: Sequence[RebalanceNode], moves: Sequence[Move]) -> list[int]:
    counts = Counter({place.candidate.id: place.candidate.count for place in places})
    counts.update(Counter(move.to_node_id for move in moves))
    counts.subtract(Counter(move.from_node_id for move in moves))
    return [counts[place.candidate.id] for place in places]


def test_the_proxies_of_a_node_are_spread_evenly_over_the_others():
    found = assign_nodes([proxy(id_, 1) for id_ in range(1, 7)], [node(2), node(3, 2)])
    assert Counter(found.placed.values()) == {2: 4, 3: 2}
    assert found.refused == {}


def test_nobody_goes_to_where_he_is():
    assert assign_nodes([proxy(1, 1)], [node(1)]).refused == {1: ()}


def test_who_finds_no_place_is_told_why_of_each_node():
    found = assign_nodes([proxy(1, 1), proxy(2, 1), proxy(3, 1, engine="3proxy")], [node(2, most=1)])
    assert found.placed == {1: 2}
    assert obstacles_text(found.refused[ProxyId(2)]) == "no other node can take it (node 2: it is full: 1 of 1 proxies)"
    assert obstacles_text(found.refused[ProxyId(3)]) == "no other node can take it (node 2: it has no engine 3proxy)"


def test_many_reasons_are_told_in_short():
    obstacles = [Obstacle(node_id=NodeId(id_), reason="it is full") for id_ in range(1, 6)]
    assert obstacles_text(obstacles).endswith("node 3: it is full; and 2 more)")
    assert obstacles_text([]) == "there is no other node to go to"


def test_who_could_go_to_a_node_that_is_busy_starting_others_waits():
    found = assign_nodes([proxy(id_, 1) for id_ in range(1, 6)], [node(2, free=2)])
    assert (len(found.placed), found.refused) == (2, {})


def test_nodes_that_share_an_ip_share_its_ports():
    found = assign_nodes([proxy(1, 1), proxy(2, 1)], [node(2, ports=1, ip="10.9.9.9"), node(3, ports=1, ip="10.9.9.9")])
    assert len(found.placed) == 1


def test_what_nobody_uses_goes_first_and_then_what_was_made_last():
    movers = [proxy(1, 1), proxy(2, 1, serves=False), proxy(3, 1), proxy(4, 1)]
    moves = plan_rebalance(movers, [node(1, 4), node(2)], max_moves=9)
    assert [(move.proxy_id, move.serves) for move in moves] == [(2, False), (4, True)]


def test_an_exit_that_only_its_own_node_has_keeps_its_proxy_there():
    movers = [proxy(1, 1, exit=ADDRESS), proxy(2, 1), proxy(3, 1, exit=ADDRESS)]
    assert [move.proxy_id for move in plan_rebalance(movers, [node(1, 3), node(2)], max_moves=9)] == [2]


def test_no_more_are_moved_than_asked_for():
    places = [node(1, 50), node(2)]
    assert len(plan_rebalance(proxies(places), places, max_moves=7)) == 7


counts = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@given(counts)
def test_without_hindrances_as_few_move_as_bring_all_within_one(loads: list[int]):
    places = [node(id_, count) for id_, count in enumerate(loads, start=1)]
    moves = plan_rebalance(proxies(places), places, max_moves=10**6)
    loads_after = after(places, moves)
    assert max(loads_after) - min(loads_after) <= 1
    floor, rest = divmod(sum(loads), len(loads))
    shares = [floor + 1] * rest + [floor] * (len(loads) - rest)
    richest_first = sorted(loads, reverse=True)
    assert len(moves) == sum(max(0, load - share) for load, share in zip(richest_first, shares, strict=True))


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[MovableProxy], list[RebalanceNode]]:
    """Nodes that lack this and that, and some of their proxies."""
    places: list[RebalanceNode] = []
    for id_ in range(1, draw(st.integers(1, 5)) + 1):
        made = node(id_, draw(st.integers(0, 8)), most=draw(st.integers(0, 12)), ports=draw(st.integers(1, 12)))
        engines = draw(st.sampled_from([{"builtin"}, {"builtin", "3proxy"}]))
        addresses = draw(st.sampled_from([(), ("192.0.2.1",)]))
        made = replace(made, candidate=replace(made.candidate, local_addresses=addresses))
        places.append(replace(made, engines=frozenset(engines), ip=f"10.0.0.{draw(st.integers(1, 3))}"))
    movers = [
        replace(
            each,
            engine=draw(st.sampled_from(["builtin", "3proxy"])),
            exit=draw(st.sampled_from([{}, ADDRESS])),
            serves=draw(st.booleans()),
        )
        for each in proxies(places)
        if draw(st.integers(0, 9))
    ]
    return movers, places


@given(fleets(), st.integers(0, 40))
def test_no_balance_is_worse_than_before_or_over_a_limit(
    fleet: tuple[list[MovableProxy], list[RebalanceNode]], most: int
):
    movers, places = fleet
    moves = plan_rebalance(movers, places, max_moves=most)
    before, now = [place.candidate.count for place in places], after(places, moves)
    assert len(moves) <= most
    assert len({move.proxy_id for move in moves}) == len(moves)
    assert sum(now) == sum(before)
    assert max(now) <= max(before)
    assert min(now) >= min(before)
    assert sum(load * load for load in now) <= sum(load * load for load in before) - 2 * len(moves)
    for place, load, had in zip(places, now, before, strict=True):
        assert load <= max(had, place.candidate.max_proxies)


@given(fleets())
def test_every_move_of_a_balance_leads_to_where_the_proxy_can_be(fleet: tuple[list[MovableProxy], list[RebalanceNode]]):
    movers, places = fleet
    by_id, there = {one.id: one for one in movers}, {place.candidate.id: place for place in places}
    for move in plan_rebalance(movers, places, max_moves=100):
        demand, target = by_id[move.proxy_id].demand, there[move.to_node_id]
        fits = replace(target.candidate_for(demand), count=0, max_proxies=1, used=0)
        assert obstacle(fits, demand) is None
        assert by_id[move.proxy_id].node_id == move.from_node_id != move.to_node_id


@given(fleets())
def test_the_same_fleet_is_balanced_in_the_same_way_in_whatever_order_it_is_told(
    fleet: tuple[list[MovableProxy], list[RebalanceNode]],
):
    movers, places = fleet
    assert plan_rebalance(movers, places, max_moves=50) == plan_rebalance(movers[::-1], places[::-1], max_moves=50)


@given(fleets())
def test_whoever_is_spread_is_placed_or_told_why_not_and_no_node_is_overfull(
    fleet: tuple[list[MovableProxy], list[RebalanceNode]],
):
    movers, places = fleet
    found = assign_nodes(movers, places)
    assert found.placed.keys() | found.refused.keys() == {mover.id for mover in movers}
    came = Counter(found.placed.values())
    for place in places:
        load = place.candidate.count + came[place.candidate.id]
        assert load <= max(place.candidate.count, place.candidate.max_proxies)
