"""`./dev up` and what is said to it, as a newcomer meets them."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.launched import Launched
from tests.launch.registry import ROOT
from tests.services.folders import scratch
from tests.services.ports import HOST
from tests.services.processes import is_running


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that every user may enter, unlike `tmp_path`: PostgreSQL does not run as root."""
    with tempfile.TemporaryDirectory(dir=scratch().path) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_kept_cluster_comes_back_whatever_the_api_did_to_it_and_goes_without_a_trace_though_all_was_killed(
    launched: Launched, open_path: Path
):
    launched.up("--keep", str(open_path / "kept"))
    refused = launched.dev("up")
    assert (refused.returncode, f"the cluster {launched.api} of this folder is already running" in refused.stderr) == (
        1,
        True,
    )
    assert f"(process {launched.record.launcher.pid})" in refused.stderr
    waiting = launched.dev("node").stdout
    launched.ask("POST", "/nodes/2/replace", content=waiting, headers={"Content-Type": "application/json"})
    [disabled] = launched.ask("GET", "/proxies?name=try-mixed")["items"]
    launched.ask("PATCH", f"/proxies/{disabled['id']}", json={"enabled": False})
    launched.ask("PATCH", "/locations/1", json={"name": "elsewhere"})
    launched.ask("DELETE", "/nodes/1?proxies=delete")
    assert launched.dev("down").returncode == 0

    said = launched.up("--keep", str(open_path / "kept"))
    assert "node-1 does not come back: node 1 was removed through the API" in said
    assert "node-2 does not come back: node-3 has replaced it as node 2" in said
    programs = launched.status()["programs"]
    assert [name for name in programs if name.startswith("node")] == ["node-3"]
    assert programs["node-3"]["state"] == "running, node 2: online, active"

    pids = [birth.pid for birth in launched.record.processes]
    launched.kill()
    assert "was killed and left processes behind" in launched.dev("up").stderr
    assert launched.dev("status").returncode == 1
    ended = launched.dev("down")
    assert (ended.returncode, [pid for pid in pids if is_running(pid)]) == (0, [])
    assert launched.dev("down").stdout == f"nothing runs from this folder at port {launched.port}\n"


def test_a_port_that_another_program_has_is_said_with_that_programs_id(launched: Launched):
    with socket.create_server((HOST, launched.port)):
        refused = launched.dev("up")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"port {launched.port} is used by ")
    assert f"(process {os.getpid()})" in refused.stderr


def test_a_folder_in_which_nothing_can_be_kept_is_said_in_one_line(launched: Launched, open_path: Path):
    (open_path / "file").touch()
    failed = launched.dev("up", "--once", "--keep", str(open_path / "file"))
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert "choose another folder for --keep" in failed.stderr


@pytest.mark.skipif(bool(os.environ.get("MAYBE_TEST_DATABASE_URL")), reason="PostgreSQL is somebody else's")
def test_an_initdb_that_fails_is_said_in_one_line_with_its_reason_and_where_the_logs_are(
    launched: Launched, open_path: Path
):
    for name, text in (("postgres", "echo 'postgres (PostgreSQL) 17.0'"), ("initdb", FULL)):
        (open_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (open_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{open_path}:{os.environ['PATH']}", "MAYBE_TEST_SERVICES": "local"}
    command = [str(ROOT / "dev"), "up", "--once", "--port", str(launched.port)]
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("failed: ")
    assert "No space left on device" in last
    assert f"the logs are in {ROOT}/.dev/logs-{launched.port}" in last


def test_ctrl_c_while_it_starts_in_the_background_leaves_nothing(launched: Launched):
    command = [str(ROOT / "dev"), "up", "--detach", "--port", str(launched.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as starting:
        assert starting.stdout
        assert "data, logs and secrets" in starting.stdout.readline()
        starting.send_signal(signal.SIGINT)
        said = starting.stdout.read()
    assert (starting.returncode, "nothing is left running" in said) == (130, True)
    assert "nothing runs" in launched.dev("status").stderr


FULL = """
case "$*" in *--version*) echo initdb; exit 0 ;; esac
echo "initdb: error: could not write: No space left on device" >&2
exit 1
"""
