"""Moves between addresses of the broker: what a node keeps, and that no history of faults strands it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.errors import BadIdentity
from node.state.broker_moves import (
    BrokerConfig,
    FailedMove,
    NodeMoves,
    arrived,
    asked,
    asked_by_hand,
    confirmed,
    fell_back,
    gave_up,
    refused,
    report_of,
)
from node.state.identity import Identity, moves_of, read_identity, write_identity
from shared.bus.addresses import addresses
from shared.enrolment.bodies import NodeConfig
from shared.messages.bodies import BrokerReport


def config(rev: int, host: str = "b", *, is_confirmed: bool = False) -> BrokerConfig:
    return BrokerConfig(rev, addresses([f"amqp://node-1:hush@{host}/"]), is_confirmed)


FIRST = config(0, "a", is_confirmed=True)
START = NodeMoves(FIRST)
UNDER_WAY = asked(START, config(5))
TRIAL = arrived(UNDER_WAY, config(5))


def test_a_request_is_kept_and_the_addresses_in_use_stay():
    assert NodeMoves(FIRST, next=config(5)) == UNDER_WAY


@pytest.mark.parametrize("rev", [3, 5])
def test_a_request_that_is_not_newer_than_the_one_in_use_or_under_way_changes_nothing(rev: int):
    for moves in (UNDER_WAY, TRIAL, confirmed(TRIAL, 5)):
        assert asked(moves, config(rev, "c")) is moves


def test_a_newer_request_replaces_the_one_under_way():
    assert asked(UNDER_WAY, config(6, "c")).next == config(6, "c")


def test_the_earlier_addresses_are_kept_until_the_master_has_confirmed_the_new_ones():
    assert (TRIAL.current, TRIAL.previous, TRIAL.state) == (config(5), (FIRST,), "trial")
    assert confirmed(TRIAL, 4) is TRIAL
    assert confirmed(TRIAL, 5) == NodeMoves(config(5, is_confirmed=True))


def test_a_request_that_failed_is_tried_again_when_it_is_repeated_and_an_older_one_is_not():
    failed = gave_up(UNDER_WAY, config(5), "no route")
    assert failed == NodeMoves(FIRST, failed=FailedMove(5, "no route"))
    assert asked(failed, config(4)) is failed
    assert asked(failed, config(5)) == UNDER_WAY


def test_a_request_for_the_addresses_in_use_is_taken_without_a_new_connection():
    again = config(6, "a")
    for moves in (START, UNDER_WAY, fell_back(TRIAL, FIRST, "lost")):
        assert asked(moves, again) == NodeMoves(config(6, "a", is_confirmed=True))
    assert asked(TRIAL, config(6)) == NodeMoves(config(6), (FIRST,))


def test_a_node_that_fell_back_keeps_the_lost_addresses_and_reports_that_they_failed():
    back = fell_back(TRIAL, FIRST, "no connection for 30 s")
    assert back == NodeMoves(FIRST, (config(5),), failed=FailedMove(5, "no connection for 30 s"))
    assert fell_back(back, config(5), "no connection for 30 s") == TRIAL


def test_several_unconfirmed_moves_keep_the_last_addresses_and_the_last_confirmed_ones():
    moves = TRIAL
    for rev, host in ((6, "c"), (7, "d"), (8, "e")):
        moves = arrived(asked(moves, config(rev, host)), config(rev, host))
    assert (moves.current, moves.previous) == (config(8, "e"), (config(7, "d"), FIRST))


def test_a_request_by_hand_counts_at_the_revision_in_use_so_that_every_later_request_of_the_master_counts():
    by_hand = asked_by_hand(confirmed(TRIAL, 5), config(9, "c").addresses, None)
    assert by_hand.next == config(5, "c")
    assert asked(by_hand, config(6, "d")).next == config(6, "d")


def test_a_request_by_hand_for_the_addresses_in_use_ends_a_move_under_way():
    assert asked_by_hand(UNDER_WAY, FIRST.addresses, None) == START


def test_a_request_that_cannot_be_read_is_reported_unless_it_is_old():
    assert refused(START, 5, "not PEM").failed == FailedMove(5, "not PEM")
    assert refused(TRIAL, 5, "not PEM") is TRIAL
    assert refused(UNDER_WAY, 6, "not PEM") is UNDER_WAY


def test_a_report_names_the_address_without_its_login_and_the_failure():
    assert report_of(START, "amqp://node-1:hush@a/") == BrokerReport(rev=0, url="amqp://a/", state="moved")
    failed = gave_up(UNDER_WAY, config(5), "no\nroute" + "x" * 400)
    report = report_of(failed, "amqp://node-1:hush@a/")
    assert (report.rev, report.state, len(report.reason)) == (5, "failed", 300)
    assert report.reason.isprintable()


IDENTITY = NodeConfig.model_validate(
    {"node_id": 1, "name": "n", "cluster": "c", "amqp_urls": ["amqp://node-1:hush@a/"], "queue": "q"}
)


def test_an_identity_without_moves_uses_the_addresses_of_its_enrolment(tmp_path: Path):
    write_identity(tmp_path / "identity.json", Identity(IDENTITY))
    read = read_identity(tmp_path / "identity.json")
    assert read == Identity(IDENTITY)
    assert read.moves == START


def test_moves_are_read_as_they_were_written(tmp_path: Path):
    moves = replace(TRIAL, next=config(6, "c"), failed=FailedMove(4, "x"))
    write_identity(tmp_path / "identity.json", Identity(IDENTITY, None, moves))
    read = read_identity(tmp_path / "identity.json")
    assert read is not None
    assert read.moves == moves
    assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"current": 1, "previous": [], "next": None, "failed": None},
        {"current": {"rev": 1, "amqp_urls": [], "ca": None, "confirmed": True}, "previous": [], "next": 0, "failed": 0},
        {
            "current": {"rev": "x", "amqp_urls": ["amqp://a/"], "ca": None, "confirmed": True},
            "previous": 1,
            "next": None,
        },
    ],
)
def test_a_damaged_part_is_a_damaged_identity(tmp_path: Path, body: object):
    import json

    path = tmp_path / "identity.json"
    path.write_text(json.dumps({"config": IDENTITY.exposed(), "challenge": None, "broker": body}))
    with pytest.raises(BadIdentity):
        read_identity(path)


HOSTS = ("a", "b", "c")


class Cluster(RuleBasedStateMachine):
    """A node, three brokers, and masters that follow the protocol: they close a broker only once the node is confirmed
    at the one that they want, and they hear it nowhere but where both are connected."""

    @initialize()
    def begin(self) -> None:
        self.disk = START
        self.moves = START
        self.wanted, self.rev = "a", 0
        self.masters = {"a"}
        """Brokers that the masters are connected to."""
        self.up = set(HOSTS)
        """Brokers that run."""
        self.confirmed_at = "a"
        """The broker where the masters know the node to be."""

    def host(self, one: BrokerConfig) -> str:
        return one.addresses.hosts[0]

    @property
    def connected(self) -> bool:
        return self.host(self.moves.current) in self.up

    @property
    def heard(self) -> bool:
        return self.connected and self.host(self.moves.current) in self.masters

    def keep(self, moves: NodeMoves, *, dies: bool = False) -> None:
        """Write, and perhaps die before the new state is used."""
        self.disk = moves
        self.moves = moves_of_disk(self.disk) if dies else moves

    @precondition(lambda self: self.masters == {self.wanted} and self.wanted in self.up)
    @rule(host=st.sampled_from(HOSTS))
    def masters_begin_a_move(self, host: str) -> None:
        if host in self.up:
            self.wanted, self.rev = host, self.rev + 1
            self.masters |= {host}

    @precondition(lambda self: len(self.masters) > 1)
    @rule()
    def masters_abort(self) -> None:
        """Back to where the node was confirmed last, which is a move like any other."""
        self.wanted, self.rev = self.confirmed_at, self.rev + 1

    @precondition(lambda self: self.heard)
    @rule(old=st.booleans(), dies=st.booleans())
    def a_request_arrives(self, old: bool, dies: bool) -> None:
        rev = max(1, self.rev - 1) if old else self.rev
        if rev and not old:
            self.keep(asked(self.moves, config(rev, self.wanted)), dies=dies)
        elif rev:
            self.keep(asked(self.moves, config(rev, "c")) if rev <= self.moves.seen else self.moves, dies=dies)

    @precondition(lambda self: self.moves.next is not None)
    @rule(dies=st.booleans())
    def the_node_tries(self, dies: bool) -> None:
        wanted = self.moves.next
        if wanted is not None and self.host(wanted) in self.up:
            self.keep(arrived(self.moves, wanted), dies=dies)
        elif wanted is not None:
            self.keep(gave_up(self.moves, wanted, "down"), dies=dies)

    @precondition(lambda self: self.heard and self.moves.current.rev == self.rev and self.moves.failed is None)
    @rule(lost=st.booleans(), dies=st.booleans())
    def a_report_is_confirmed(self, lost: bool, dies: bool) -> None:
        """The masters hear the node at the wanted broker; their confirmation may get lost."""
        self.confirmed_at = self.host(self.moves.current)
        if not lost:
            self.keep(confirmed(self.moves, self.rev), dies=dies)

    @precondition(lambda self: self.confirmed_at == self.wanted and len(self.masters) > 1)
    @rule()
    def masters_finish(self) -> None:
        self.masters = {self.wanted}

    @precondition(lambda self: not self.heard and self.moves.previous)
    @rule(dies=st.booleans())
    def the_node_falls_back(self, dies: bool) -> None:
        up = [each for each in self.moves.previous if self.host(each) in self.up]
        if up:
            self.keep(fell_back(self.moves, up[0], "down"), dies=dies)

    @rule(host=st.sampled_from(HOSTS))
    def a_broker_ends(self, host: str) -> None:
        self.up -= {host}

    @rule(host=st.sampled_from(HOSTS))
    def a_broker_returns(self, host: str) -> None:
        self.up |= {host}

    @rule()
    def the_node_restarts(self) -> None:
        self.moves = moves_of_disk(self.disk)

    @invariant()
    def little_is_kept_and_each_once(self) -> None:
        assert len(self.moves.previous) <= 2
        kept = [self.moves.current, *self.moves.previous]
        assert len({each.rev for each in kept}) == len(kept)
        assert sum(each.confirmed for each in kept) <= 1

    @invariant()
    def the_node_is_never_stranded(self) -> None:
        """Once every broker runs, the node comes to one that the masters use, also if it starts again before."""
        for begun in (self.moves, self.disk):
            moves = begun
            for _ in range(4):
                if self.host(moves.current) not in self.masters:
                    moves = settled(moves)
            assert self.host(moves.current) in self.masters

    @invariant()
    def revisions_in_use_are_those_that_were_asked_for(self) -> None:
        assert self.moves.seen <= self.rev


def settled(moves: NodeMoves) -> NodeMoves:
    """The next step of a node that hears nobody, while every broker accepts it."""
    if moves.next is not None:
        return arrived(moves, moves.next)
    return fell_back(moves, moves.previous[0], "silent") if moves.previous else moves


def moves_of_disk(moves: NodeMoves) -> NodeMoves:
    """What a node reads that starts again."""
    from node.state.identity import exposed_urls, members_of

    read = moves_of(members_of(moves, exposed_urls))
    assert read == moves
    return read


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
