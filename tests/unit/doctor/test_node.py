"""What the node's doctor makes of what it saw."""

from typing import Any

import pytest

from node.doctor.findings import (
    FolderFacts,
    agent_finding,
    clock_finding,
    files_finding,
    folder_findings,
    listening_finding,
    listening_ports,
    login_findings,
    port_findings,
    reserved_ports,
    room_findings,
    three_proxy_finding,
    worker_findings,
)
from node.doctor.local_copy import CopyInspection, copy_finding
from shared.bus.logins import LoginResult

MOST_OF_IT = 10**12
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:4E21 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
"""


def folder(**change: Any) -> FolderFacts:
    return FolderFacts(**{"path": "/data", "exists": True, "writable": True, "free_bytes": MOST_OF_IT} | change)


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, "ok"),
        ({"exists": False}, "ok"),
        ({"exists": False, "writable": False}, "problem"),
        ({"writable": False}, "problem"),
        ({"mode": 0o755}, "warning"),
        ({"free_bytes": 400_000_000}, "warning"),
        ({"free_bytes": 4_000_000}, "problem"),
        ({"free_files": 0}, "problem"),
    ],
)
def test_the_data_directory_is_judged(change: dict[str, Any], level: str):
    levels = {finding.level for finding in folder_findings(folder(**change))}
    assert level in levels
    assert levels <= {"ok", level}


@pytest.mark.parametrize(
    ("runs", "enrolled", "level"), [(True, True, "ok"), (False, True, "problem"), (False, False, "warning")]
)
def test_an_agent_that_does_not_run_is_told(runs: bool, enrolled: bool, level: str):
    assert agent_finding(runs=runs, enrolled=enrolled).level == level


@pytest.mark.parametrize(
    ("login", "runs", "level", "word"),
    [
        (LoginResult(endpoint="broker:5672", state="accepted", consumers=1), True, "ok", "the agent"),
        (LoginResult(endpoint="broker:5672", state="accepted", consumers=0), False, "ok", "nobody"),
        (LoginResult(endpoint="broker:5672", state="accepted", consumers=1), False, "problem", "occupied"),
        (LoginResult(endpoint="broker:5672", state="accepted", consumers=0), True, "warning", "does not consume"),
        (LoginResult(endpoint="broker:5672", state="accepted", consumers=None), True, "problem", "missing"),
        (LoginResult(endpoint="broker:5672", state="login refused"), True, "problem", "refused"),
        (LoginResult(endpoint="broker:5672", state="vhost refused"), True, "problem", "refused"),
        (LoginResult(endpoint="broker:5672", state="away", reason="no answer"), True, "problem", "no answer"),
    ],
)
def test_what_the_broker_said_is_told_in_words(login: LoginResult, runs: bool, level: str, word: str):
    found = login_findings([login], user="node-7", agent_runs=runs)[-1]
    assert (found.level, word in found.text) == (level, True), found


@pytest.mark.parametrize(
    ("synchronised", "behind", "level"),
    [(True, -50, "ok"), (None, 0, "ok"), (False, 0, "warning"), (True, 7_200, "problem")],
)
def test_the_clock_is_judged_as_far_as_it_can_be(synchronised: bool | None, behind: float, level: str):
    assert clock_finding(synchronised=synchronised, behind_s=behind).level == level


@pytest.mark.parametrize(("soft", "hard", "level"), [(1_024, 1_048_576, "ok"), (1_024, 4_096, "warning")])
def test_only_the_hard_limit_on_open_files_matters(soft: int, hard: int, level: str):
    assert files_finding(soft, hard).level == level


@pytest.mark.parametrize(
    ("ports", "local", "reserved", "level"),
    [
        ({20_000}, (32_768, 60_999), set(), "ok"),
        ({33_000}, (32_768, 60_999), set(), "warning"),
        ({33_000}, (32_768, 60_999), {33_000}, "ok"),
        (set(), (32_768, 60_999), set(), "ok"),
        (set(), (1_024, 65_535), set(), "warning"),
    ],
)
def test_a_port_that_an_outgoing_connection_may_take_is_told(
    ports: set[int], local: tuple[int, int], reserved: set[int], level: str
):
    assert port_findings(ports, local, reserved)[0].level == level


@pytest.mark.parametrize(
    ("path", "version", "level"),
    [
        (None, None, "ok"),
        ("/3proxy", None, "problem"),
        ("/3proxy", "unknown", "warning"),
        ("/3proxy", "0.9.4", "warning"),
        ("/3proxy", "0.9.5", "ok"),
        ("/3proxy", "1.0.0", "ok"),
        ("/3proxy", "0.10", "ok"),
        ("/3proxy", "0.8b", "warning"),
    ],
)
def test_3proxy_is_judged_by_its_version(path: str | None, version: str | None, level: str):
    assert three_proxy_finding(path, version).level == level


@pytest.mark.parametrize(
    ("workers", "runs", "wanted", "level"),
    [
        ({0: "S", 1: "R"}, True, 5, "ok"),
        ({0: "T", 1: "S"}, True, 5, "problem"),
        ({}, True, 0, "problem"),
        ({}, False, 5, "warning"),
        ({}, False, 0, "ok"),
    ],
)
def test_the_workers_are_judged(workers: dict[int, str], runs: bool, wanted: int, level: str):
    assert worker_findings(workers, agent_runs=runs, wanted=wanted)[0].level == level


@pytest.mark.parametrize(
    ("listening", "level"), [({1, 2, 3}, "ok"), ({1, 2}, "warning"), ({1}, "problem"), (set(), "problem")]
)
def test_proxies_that_do_not_accept_connections_are_told(listening: set[int], level: str):
    assert listening_finding({10: 1, 11: 2, 12: 3}, listening, agent_runs=True).level == level


@pytest.mark.parametrize(
    ("table", "queue", "levels"),
    [
        (None, None, []),
        ((100, 262_144), 4_096, []),
        ((220_000, 262_144), 4_096, ["warning"]),
        ((262_000, 262_144), 128, ["problem", "warning"]),
    ],
)
def test_the_kernels_limits_are_told_only_when_they_limit(
    table: tuple[int, int] | None, queue: int | None, levels: list[str]
):
    assert [finding.level for finding in room_findings(table, queue)] == levels


@pytest.mark.parametrize(
    ("copy", "owner", "level"),
    [
        (CopyInspection(state="none"), None, "ok"),
        (CopyInspection(state="whole", owner="c/1"), "c/1", "ok"),
        (CopyInspection(state="whole", owner="c/2"), "c/1", "warning"),
        (CopyInspection(state="whole", owner="c/1", wanted=3, refused=(4,)), "c/1", "warning"),
        (CopyInspection(state="broken", reason="malformed"), "c/1", "problem"),
        (CopyInspection(state="closed"), "c/1", "problem"),
    ],
)
def test_the_local_copy_is_judged(copy: CopyInspection, owner: str | None, level: str):
    assert copy_finding(copy, owner).level == level


def test_reserved_ports_are_read_as_the_kernel_writes_them():
    assert reserved_ports("8080,20000-20002\n") == {8080, 20000, 20001, 20002}
    assert reserved_ports("") == set()


def test_only_ports_that_are_listened_on_count():
    assert listening_ports(TABLE) == {20_000}
