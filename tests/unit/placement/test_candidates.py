"""Which node takes a proxy, and why none does."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from master.placement.candidates import Candidate, Demand, Obstacle, choose_node, obstacle
from shared.proxies import NodeId, ProxyId

FREE = Candidate(
    id=NodeId(1), state="active", has_engine=True, count=0, max_proxies=10, port_from=20000, port_to=20009, used=0
)
ANY = Demand(engine="builtin")

candidates = st.builds(
    Candidate,
    id=st.integers(1, 20).map(NodeId),
    state=st.sampled_from(["active", "draining", "disabled"]),
    has_engine=st.booleans(),
    count=st.integers(0, 4),
    max_proxies=st.integers(0, 4),
    port_from=st.integers(20000, 20003),
    port_to=st.integers(20003, 20006),
    used=st.integers(0, 8),
    holder=st.none() | st.just(ProxyId(7)),
    holder_node=st.just(NodeId(9)),
)
demands = st.builds(Demand, engine=st.just("builtin"), port=st.none() | st.integers(19999, 20007))


def refused(*, demand: Demand = ANY, **how: object) -> str:
    found = choose_node([replace(FREE, **how)], demand)
    assert isinstance(found, tuple)
    return found[0].reason


def test_the_least_loaded_node_wins():
    assert choose_node([replace(FREE, count=3), replace(FREE, id=NodeId(2), count=2)], ANY) == 2


def test_the_lowest_id_wins_among_equals():
    assert choose_node([replace(FREE, id=NodeId(5)), replace(FREE, id=NodeId(4))], ANY) == 4


def test_a_draining_node_takes_no_proxy():
    assert refused(state="draining") == "it is draining"


def test_a_disabled_node_takes_no_proxy():
    assert refused(state="disabled") == "it is disabled"


def test_a_node_without_the_engine_takes_no_proxy():
    assert refused(has_engine=False, demand=Demand(engine="3proxy")) == "it has no engine 3proxy"


def test_a_node_at_its_limit_takes_no_proxy():
    assert refused(count=10) == "it is full: 10 of 10 proxies"


def test_a_node_without_a_free_port_takes_no_proxy():
    assert refused(used=10) == "no port of 20000-20009 is free"


def test_an_asked_port_outside_the_range_is_told():
    assert refused(demand=Demand(engine="builtin", port=20010)) == "port 20010 is outside its range 20000-20009"


def test_an_asked_port_that_is_taken_names_its_proxy():
    reason = refused(demand=Demand(engine="builtin", port=20003), holder=ProxyId(7), holder_node=NodeId(3))
    assert reason == "port 20003 is taken by proxy 7 on node 3"


def test_without_candidates_there_is_nothing_to_explain():
    assert choose_node([], ANY) == ()


@given(st.lists(candidates, unique_by=lambda one: one.id), demands)
def test_the_choice_has_no_obstacle_and_nobody_able_is_less_loaded(found: list[Candidate], demand: Demand):
    chosen = choose_node(found, demand)
    able = [one for one in found if obstacle(one, demand) is None]
    if not isinstance(chosen, tuple):
        assert min((one.count, one.id) for one in able)[1] == chosen


@given(st.lists(candidates, unique_by=lambda one: one.id), demands)
def test_when_nobody_is_able_each_candidate_has_a_reason_in_order_of_id(found: list[Candidate], demand: Demand):
    chosen = choose_node(found, demand)
    if isinstance(chosen, tuple):
        assert [each.node_id for each in chosen] == sorted(one.id for one in found)
        assert all(isinstance(each, Obstacle) and each.reason for each in chosen)
