"""What `./dev up`, `status` and `down` decide by: who a process is, which nodes come back, what is tried and said."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.launch.__main__ import read as options
from tests.launch.demo.fleet import CUSTOMERS, NODES, SOLD, STACKS, bought
from tests.launch.failures import explained
from tests.launch.memory import Memory, Slot, absent, read
from tests.launch.registry import Record
from tests.launch.trial import unusable
from tests.services.processes import Birth, birth_of
from tests.services.programs import ProgramError


def test_a_process_is_the_same_only_with_the_same_id_and_start():
    own = birth_of(os.getpid())
    assert own
    assert own.is_alive
    assert not Birth(own.pid, own.started + "0").is_alive


def test_a_process_that_has_ended_and_was_not_reaped_is_not_alive():
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        born = birth_of(process.pid)
        assert process.stdout
        process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not (born and born.is_alive)


def test_of_a_cluster_whose_launcher_runs_nothing_is_left_over():
    own = birth_of(os.getpid())
    assert own
    gone = Birth(own.pid, "then")
    record = Record(
        port=1, phase="up", launcher=own, keeper=gone, front=1, run="", folder="", kept=False, processes=(own,)
    )
    assert record.left == []
    assert own.pid in replace(record, launcher=gone).left


def test_nodes_come_back_unless_they_were_removed_or_replaced():
    slots = [Slot(1, 100, 1, 5.0), Slot(2, 200, 2, 5.0), Slot(3, 300, 2, 9.0), Slot(4, 400)]
    reasons = [absent(slot, slots, {2: {}}) for slot in slots]
    assert reasons == ["node 1 was removed through the API", "node-3 has replaced it as node 2", None, None]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"enabled": False}, "it is disabled"),
        ({"status": {"state": "expired", "reason": None}}, "it is expired"),
        ({"status": {"state": "failed", "reason": "port taken"}}, "it is failed (port taken)"),
        ({"host": "203.0.113.7"}, "its node's address 203.0.113.7 is not this machine's own"),
    ],
)
def test_a_proxy_is_tried_only_where_a_client_here_should_be_served(changed: dict[str, Any], reason: str | None):
    proxy = {"enabled": True, "status": {"state": "running", "reason": None}, "host": "127.0.0.1"}
    assert unusable(proxy | changed) == reason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ProgramError("PostgreSQL ended\n    | log"), ["PostgreSQL ended"]),
        (ProgramError("initdb: No space left on device"), ["No space left", "free some space"]),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), ["No space left", "/tmp/x", "free some space"]),
        (OSError(errno.EACCES, "Permission denied", "/x"), ["Permission denied", "/x", "may write"]),
        (httpx.ReadTimeout("late"), ["did not answer", "try again"]),
        (TimeoutError(), ["in time"]),
    ],
)
def test_a_trouble_of_the_environment_is_one_line_with_what_and_what_to_do(error: Exception, words: list[str]):
    line = explained(error)
    assert line
    assert "\n" not in line
    assert [word for word in words if word not in line] == []


def test_anything_else_is_a_fault_of_the_launcher():
    assert explained(KeyError("x")) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nodes": [[1, 2]]}'])
def test_a_kept_folder_that_cannot_be_read_is_refused_by_name(text: str, tmp_path: Path):
    path = tmp_path / "cluster.json"
    path.write_text(text)
    with pytest.raises(ProgramError, match=r"cluster\.json cannot be read"):
        read(path, "local")


def test_what_is_remembered_is_read_again(tmp_path: Path):
    memory = Memory(tmp_path / "cluster.json", "local", 10_000, 3, {1: 10_100, 3: 10_200})
    memory.write()
    assert read(tmp_path / "cluster.json", "local") == memory


def test_the_demo_has_a_node_for_each_of_its_plan_and_refuses_fewer(capsys: pytest.CaptureFixture[str]):
    assert options(["--demo"]).nodes == len(NODES)
    with pytest.raises(SystemExit):
        options(["--demo", "--nodes", "2"])
    assert "--demo needs at least 5 nodes" in capsys.readouterr().err


def test_each_sold_stack_has_enough_proxies_for_its_customers():
    sold = {stack: sum(bought(each) for each in CUSTOMERS if SOLD[each % len(SOLD)] == stack) for stack in SOLD}
    assert all(sold[stack["name"]] <= stack["count"] for stack in STACKS if stack["name"] in sold)
