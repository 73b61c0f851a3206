"""What the master's doctor makes of what it saw."""

from dataclasses import replace
from typing import Any

import pytest

from master.doctor.broker import (
    capacity_finding,
    login_finding,
    permissions_finding,
    queue_findings,
    server_findings,
    tags_finding,
)
from master.doctor.broker import version_finding as broker_version
from master.doctor.database import (
    NodeSeen,
    address_finding,
    api_finding,
    clock_finding,
    connections_finding,
    node_findings,
    role_findings,
    schema_finding,
    version_finding,
)
from master.doctor.topology import Topology, topology_findings
from shared.bus.logins import LoginResult
from shared.doctor.findings import Finding

KNOWN = [(1, "0001_tables.sql", "aa"), (2, "0002_triggers.sql", "bb")]
NODE = NodeSeen(
    id=7, name="owl", ip="203.0.113.7", link="online", silent_s=3, count=10, failed=0, held=None, password_hash="h"
)
SERVER: dict[str, Any] = {
    "name": "rabbit@host",
    "running": True,
    "mem_used": 150_000_000,
    "mem_limit": 3_000_000_000,
    "mem_alarm": False,
    "disk_free": 9_000_000_000,
    "disk_free_limit": 50_000_000,
    "disk_free_alarm": False,
    "fd_total": 65_536,
    "sockets_total": 58_890,
    "partitions": [],
}
WANTED = Topology(
    exchanges={"mp.master": "topic", "mp.node": "direct"},
    queues={"mp.node.7": {"x-queue-type": "classic", "x-max-length": 64}},
    bindings=frozenset({("mp.node", "mp.node.7", "7")}),
    logins={"node-7": "hash"},
    permissions={"node-7": ("^$", "w", "r")},
    topic_permissions={"node-7": ("mp.master", "w", "r")},
)


def levels(found: list[Finding]) -> dict[str, str]:
    """The worst level by check."""
    order = ["ok", "warning", "problem"]
    worst: dict[str, str] = {}
    for finding in found:
        worst[finding.check] = max(worst.get(finding.check, "ok"), finding.level, key=order.index)
    return worst


@pytest.mark.parametrize(("number", "level"), [(140011, "problem"), (150000, "ok"), (180001, "ok")])
def test_postgresql_before_15_is_too_old(number: int, level: str):
    assert version_finding(number).level == level


def test_a_standby_is_a_problem():
    assert levels(role_findings({"in_recovery": True})) == {"PostgreSQL role": "problem"}


@pytest.mark.parametrize(("most", "used", "level"), [(100, 20, "ok"), (100, 95, "warning")])
def test_too_few_free_connections_are_told_before_they_are_gone(most: int, used: int, level: str):
    assert connections_finding({"max_connections": most, "connections": used}).level == level


@pytest.mark.parametrize(
    ("applied", "may_create", "level", "words"),
    [
        ({1: "aa", 2: "bb"}, False, "ok", "this program's level"),
        ({1: "aa"}, True, "warning", "0002_triggers.sql"),
        (None, True, "warning", "0001_tables.sql"),
        (None, False, "problem", "may create nothing"),
        ({1: "aa", 2: "other"}, True, "problem", "changed since"),
        ({1: "aa", 2: "bb", 3: "cc"}, True, "problem", "newer than this program"),
    ],
)
def test_the_schemas_level_is_judged(applied: dict[int, str] | None, may_create: bool, level: str, words: str):
    found = schema_finding(applied, KNOWN, may_create=may_create)
    assert (found.level, words in found.text) == (level, True), found


@pytest.mark.parametrize(("ahead", "level"), [(0.3, "ok"), (-1.9, "ok"), (3600, "warning"), (-3600, "warning")])
def test_clocks_that_differ_are_told(ahead: float, level: str):
    assert clock_finding(ahead).level == level


@pytest.mark.parametrize(
    ("node", "consumers", "words"),
    [
        (replace(NODE, silent_s=120), 0, "not connected to the broker: node 7 (owl) for 120 s"),
        (replace(NODE, silent_s=120), 1, "though connected to the broker"),
        (replace(NODE, link="never_reported", silent_s=120), 0, "never reported"),
        (replace(NODE, held=(40, 50)), 1, "would stop 40 of its 50"),
        (replace(NODE, failed=6), 1, "6 of 10 on node 7 (owl)"),
    ],
)
def test_a_node_in_trouble_is_named(node: NodeSeen, consumers: int, words: str):
    found = [each for each in node_findings([node], {7: consumers}, master_runs=True) if each.level == "problem"]
    assert [words in each.text for each in found] == [True], found


def test_a_few_failures_are_a_warning():
    assert levels(node_findings([replace(NODE, failed=1)], {7: 1}, master_runs=True))["proxies"] == "warning"


def test_without_a_master_the_nodes_are_not_blamed_for_their_silence():
    found = node_findings([replace(NODE, silent_s=900)], {}, master_runs=False)
    assert levels(found) == {"nodes": "warning"}


def test_nodes_in_order_are_one_line():
    assert levels(node_findings([NODE], {7: 1}, master_runs=True)) == {"nodes": "ok"}


@pytest.mark.parametrize(
    ("host", "nodes", "level"),
    [
        ("broker.example", [NODE], "ok"),
        ("localhost", [NODE], "problem"),
        ("::1", [NODE], "problem"),
        ("127.0.0.1", [replace(NODE, ip="127.0.0.1")], "ok"),
        ("127.0.0.1", [], "warning"),
    ],
)
def test_a_broker_address_that_leads_nodes_nowhere_is_told(host: str, nodes: list[NodeSeen], level: str):
    assert address_finding(host, nodes).level == level


@pytest.mark.parametrize(
    ("state", "level"), [("free", "ok"), ("master", "ok"), ("taken", "problem"), ("unusable", "problem")]
)
def test_the_apis_port_is_judged(state: Any, level: str):
    assert api_finding(state, "0.0.0.0:3005").level == level


@pytest.mark.parametrize(
    ("version", "level"), [("3.9.29", "problem"), ("3.10.8", "ok"), ("4.1.0-beta.1", "ok"), ("", "problem")]
)
def test_rabbitmq_before_3_10_is_too_old(version: str, level: str):
    assert broker_version(version).level == level


@pytest.mark.parametrize("state", ["away", "login refused", "vhost refused"])
def test_a_login_that_is_not_accepted_is_a_problem(state: Any):
    assert login_finding(LoginResult(endpoint="broker:5672", state=state, reason="why")).level == "problem"


def test_only_an_administrator_can_make_nodes_logins():
    assert [tags_finding("u", tags).level for tags in (("administrator",), ("monitoring",), ())] == [
        "ok",
        "problem",
        "problem",
    ]


@pytest.mark.parametrize(
    ("own", "level"),
    [
        ((".*", ".*", ".*"), "ok"),
        (None, "problem"),
        ((".*", "^$", ".*"), "problem"),
        (("^mp", "^mp", "^mp"), "warning"),
    ],
)
def test_the_masters_own_permissions_are_judged(own: tuple[str, ...] | None, level: str):
    assert permissions_finding("u", "/", own).level == level


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        ({}, "broker memory", "ok"),
        ({"mem_alarm": True}, "broker memory", "problem"),
        ({"disk_free_alarm": True}, "broker disk", "problem"),
        ({"disk_free": 60_000_000}, "broker disk", "warning"),
        ({"disk_free": "disk_free_monitoring_disabled"}, "broker disk", "ok"),
        ({"running": False}, "broker", "problem"),
        ({"partitions": ["rabbit@other"]}, "broker", "problem"),
    ],
)
def test_the_brokers_alarms_are_told(change: dict[str, Any], check: str, level: str):
    assert levels(server_findings(SERVER | change, 10))[check] == level


@pytest.mark.parametrize(
    ("files", "sockets", "nodes", "level"),
    [
        (1_024, 829, 100, "ok"),
        (1_024, 829, 350, "warning"),
        (1_024, None, 420, "problem"),
        (1_024, 829, 420, "problem"),
        (65_536, None, 1_000, "ok"),
        (0, 0, 1_000, "ok"),
        (None, None, 1_000, "ok"),
    ],
)
def test_a_limit_on_open_files_that_stops_nodes_is_told_before_it_does(
    files: int | None, sockets: int | None, nodes: int, level: str
):
    assert capacity_finding(SERVER | {"fd_total": files, "sockets_total": sockets}, nodes).level == level


@pytest.mark.parametrize(
    ("messages", "consumers", "nodes", "worst"),
    [
        ({"mp.dead": 0, "mp.master": 3}, {"mp.master": 2}, 1, "ok"),
        ({"mp.dead": 2, "mp.master": 0}, {"mp.master": 1}, 1, "warning"),
        ({"mp.dead": 0, "mp.master": 5_000}, {"mp.master": 1}, 1, "warning"),
        ({"mp.dead": 0, "mp.master": 0}, {}, 1, "warning"),
        ({}, {}, 0, "ok"),
    ],
)
def test_the_masters_queues_are_judged(messages: dict[str, int], consumers: dict[str, int], nodes: int, worst: str):
    found = levels(queue_findings(messages, consumers, nodes=nodes))
    assert ("warning" in found.values()) == (worst == "warning"), found


def test_a_broker_that_has_all_that_is_wanted_is_one_line():
    there = replace(WANTED, exchanges={**WANTED.exchanges, "amq.topic": "topic"})
    assert levels(topology_findings(WANTED, there)) == {"broker topology": "ok"}


@pytest.mark.parametrize(
    ("there", "check", "level"),
    [
        (replace(WANTED, exchanges={"mp.node": "direct"}), "broker exchanges", "problem"),
        (replace(WANTED, exchanges={"mp.node": "fanout", "mp.master": "topic"}), "broker exchanges", "problem"),
        (replace(WANTED, queues={}), "broker queues", "problem"),
        (replace(WANTED, queues={"mp.node.7": {"x-max-length": 9}}), "broker queues", "warning"),
        (replace(WANTED, bindings=frozenset[tuple[str, str, str]]()), "broker bindings", "problem"),
        (replace(WANTED, logins={}), "broker logins", "problem"),
        (replace(WANTED, logins={"node-7": "other"}), "broker logins", "problem"),
        (replace(WANTED, permissions={**WANTED.permissions, "node-8": ("", "", "")}), "broker logins", "warning"),
        (replace(WANTED, permissions={"node-7": (".*", ".*", ".*")}), "broker permissions", "problem"),
        (replace(WANTED, topic_permissions={}), "broker permissions", "problem"),
    ],
)
def test_each_difference_on_the_broker_is_named(there: Topology, check: str, level: str):
    assert levels(topology_findings(WANTED, there)) == {check: level}


def test_a_queue_of_another_type_is_the_operators_choice():
    there = replace(WANTED, queues={"mp.node.7": {"x-queue-type": "quorum", "x-max-length": 64}})
    assert levels(topology_findings(WANTED, there)) == {"broker topology": "ok"}
