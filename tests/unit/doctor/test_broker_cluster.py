"""What the master's doctor makes of a broker that is a cluster."""

from typing import Any

import pytest

from master.doctor.broker_cluster import address_findings, cluster_findings, sameness_findings

ALL = ("rabbit@a", "rabbit@b", "rabbit@c")


def servers(running: int = 3, of: int = 3) -> list[dict[str, Any]]:
    return [{"name": f"rabbit@{number}", "running": number < running, "partitions": []} for number in range(of)]


def queue(name: str = "mp.master", members: tuple[str, ...] = ALL, online: tuple[str, ...] = ALL) -> dict[str, Any]:
    return {"name": name, "type": "quorum", "members": list(members), "online": list(online)}


def test_a_broker_that_is_alone_is_no_cluster() -> None:
    assert cluster_findings(servers(1, 1), [{"name": "mp.master", "type": "classic"}]) == []


def test_a_whole_cluster_with_copies_of_each_queue_is_well() -> None:
    assert [finding.level for finding in cluster_findings(servers(), [queue()])] == ["ok"]


@pytest.mark.parametrize(
    ("running", "of", "level", "text"),
    [
        (2, 3, "problem", "when one more is away"),
        (1, 3, "problem", "without more than half"),
        (2, 2, "warning", "no majority"),
        (1, 2, "problem", "without more than half"),
        (4, 5, "ok", "4 brokers run"),
        (3, 5, "problem", "when one more is away"),
    ],
)
def test_brokers_that_are_away_are_judged_by_the_majority_that_is_left(
    running: int, of: int, level: str, text: str
) -> None:
    [finding] = cluster_findings(servers(running, of), [queue()])
    assert finding.level == level
    assert text in finding.text


@pytest.mark.parametrize(
    ("seen", "level", "text"),
    [
        ({"name": "mp.node.7", "type": "classic"}, "problem", "mp.node.7 are classic queues"),
        (queue(members=ALL[:1], online=ALL[:1]), "warning", "too few of 3 brokers"),
        (queue(online=ALL[:1]), "problem", "most copies of mp.master are away"),
    ],
)
def test_a_queue_that_would_be_lost_or_is_stuck_is_named(seen: dict[str, Any], level: str, text: str) -> None:
    [finding] = cluster_findings(servers(), [seen, queue("mp.dead")])
    assert finding.level == level
    assert text in finding.text
    assert finding.advice


def test_a_queue_whose_copies_are_not_reported_yet_is_no_finding() -> None:
    found = cluster_findings(servers(), [{"name": "mp.master", "type": "quorum"}])
    assert [finding.level for finding in found] == ["ok"]


def test_a_setting_that_names_one_of_several_brokers_is_pointed_out() -> None:
    counts = {"AMQP_URL": 1, "RABBITMQ_MANAGEMENT_URL": 3}
    [finding] = address_findings(3, counts)
    assert finding.text.startswith("AMQP_URL names 1 of 3 brokers")
    assert address_findings(1, counts) == []


def test_addresses_of_different_clusters_are_named() -> None:
    assert sameness_findings({"http://a": "one", "http://b": "one"}) == []
    [finding] = sameness_findings({"http://a": "one", "http://b": "two"})
    assert "http://b is 'two'" in finding.text
