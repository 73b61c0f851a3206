"""The node's doctor on its move to other addresses of the broker."""

from node.doctor.broker_moves import move_findings
from node.state.broker_moves import BrokerConfig, NodeMoves, arrived, asked, confirmed, gave_up
from shared.bus.addresses import addresses

A = BrokerConfig(0, addresses(["amqp://node-1:hush@a/"]), confirmed=True)
B = BrokerConfig(4, addresses(["amqps://node-1:hush@b/", "amqps://node-1:hush@c/"], "system"))
ASKED = asked(NodeMoves(A), B)


def levels(moves: NodeMoves) -> list[str]:
    found = move_findings(moves)
    assert not any("hush" in f"{one.text}{one.advice}" for one in found)
    return [one.level for one in found]


def test_addresses_that_a_master_has_confirmed_are_fine():
    assert levels(NodeMoves(A)) == ["ok"]
    assert levels(confirmed(arrived(ASKED, B), 4)) == ["ok"]


def test_a_move_that_is_under_way_or_not_confirmed_is_a_warning():
    assert levels(ASKED) == ["ok", "warning"]
    [found] = move_findings(arrived(ASKED, B))
    assert (found.level, found.text) == (
        "warning",
        "uses amqps://b/, amqps://c/ (revision 4), which no master has confirmed yet; keeps amqp://a/ (revision 0)",
    )


def test_a_move_that_failed_is_a_problem_with_its_reason():
    assert levels(gave_up(ASKED, B, "expired")) == ["ok", "problem"]
    assert "revision 4 failed: expired" in move_findings(gave_up(ASKED, B, "expired"))[1].text
