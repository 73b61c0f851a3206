"""What the containers of compose.yaml do beside our programs: take a slot, answer health checks, enrol nodes."""

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest

from node.settings import read_settings
from node.state.sole_agent import sole_agent
from tests.launch.registry import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("flock"), reason="the containers are Linux's, with flock(1)"
)

ENTRY = ROOT / "docker/node-entry.sh"


@pytest.fixture(scope="module")
def enrol() -> ModuleType:
    """docker/enrol.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("enrol", ROOT / "docker/enrol.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["enrol"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts the entry of a container with this name; it prints its slot and runs until its input ends."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "slots").mkdir()

    def start(name: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "NODE_SLOTS": str(tmp_path / "slots"), "NODE_DATA_DIR": str(tmp_path / name)}
        command = ["sh", str(ENTRY), "sh", "-c", 'readlink "$NODE_DATA_DIR"; exec cat']
        process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        ended(process)


def slot_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    process.stdout.readline()
    return Path(process.stdout.readline().strip()).name


def ended(process: "subprocess.Popen[str]") -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    process.wait(10)


def test_containers_that_start_at_once_take_different_slots_and_the_next_one_takes_the_slot_of_one_that_is_gone(
    container: Callable[[str], "subprocess.Popen[str]"],
):
    first, second, third = (container(name) for name in "abc")
    slots = {slot_of(process): process for process in (first, second, third)}
    assert set(slots) == {"1", "2", "3"}
    ended(slots["2"])
    assert slot_of(container("d")) == "2"


def test_a_slot_keeps_what_is_in_it_but_a_challenge_and_is_emptied_when_its_node_was_removed(
    container: Callable[[str], "subprocess.Popen[str]"], tmp_path: Path
):
    slot = tmp_path / "slots" / "1"
    slot.mkdir(parents=True)
    for name in ("identity.json", "challenge.json"):
        (slot / name).write_text("{}")
    one = container("a")
    assert slot_of(one) == "1"
    assert ((slot / "identity.json").exists(), (slot / "challenge.json").exists()) == (True, False)
    ended(one)
    (slot / "removed").touch()
    assert slot_of(container("b")) == "1"
    assert sorted(path.name for path in slot.iterdir()) == ["address", "lock"]


def test_a_challenge_counts_only_while_a_container_holds_the_slot(enrol: ModuleType, tmp_path: Path):
    (tmp_path / "challenge.json").write_text(json.dumps({"port": 3006, "challenge": "7KQ2"}))
    with (tmp_path / "lock").open("w") as lock:
        assert enrol.slot_at(tmp_path).waiting is None
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert enrol.slot_at(tmp_path).waiting == {"port": 3006, "challenge": "7KQ2"}


def test_nodes_whose_address_belongs_to_another_one_now_get_spare_addresses_whether_they_run_or_not(
    enrol: ModuleType, tmp_path: Path
):
    a = slot(enrol, tmp_path / "1", 1, reported="10.0.0.1", address="10.0.0.2")
    b = slot(enrol, tmp_path / "2", 2, reported="10.0.0.2", address="10.0.0.1")
    c = slot(enrol, tmp_path / "3", 3, reported="10.0.0.1", address="10.0.0.1", is_taken=False)
    d = slot(enrol, tmp_path / "4", 4, reported="10.0.0.4", address="10.0.0.4")
    assert enrol.holding([a, b, c, d], [a, b]) == [a, b, c]


def test_of_two_slots_of_one_node_the_one_that_was_enrolled_last_is_the_nodes(enrol: ModuleType, tmp_path: Path):
    old = slot(enrol, tmp_path / "1", 7, reported="10.0.0.1", address="10.0.0.1")
    new = slot(enrol, tmp_path / "2", 7, reported="10.0.0.2", address="10.0.0.2")
    os.utime(old.path / "identity.json", (1, 1))
    assert enrol.enrolled([old, new]) == enrol.enrolled([new, old]) == [new]


@pytest.fixture
def master() -> Iterator[tuple[str, list[tuple[str, str, Any]], dict[str, tuple[int, bytes]]]]:
    """A stand-in for the master: its URL, the requests that it got, and its answers by method and path."""
    requests: list[tuple[str, str, Any]] = []
    answers: dict[str, tuple[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"] or 0)
            requests.append((self.command, self.path, json.loads(self.rfile.read(length) or b"null")))
            status, body = answers.get(f"{self.command} {self.path}", (404, b"{}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", requests, answers
        server.shutdown()
        thread.join()


EMPTY = (200, b'{"items": [], "next": null}')


def test_a_waiting_node_is_enrolled_at_its_address_with_its_slot_as_a_label(
    enrol: ModuleType, tmp_path: Path, master: Any, capsys: pytest.CaptureFixture[str]
):
    url, requests, answers = master
    answers |= {
        "POST /nodes": (201, b'{"id": 4, "name": "calm-fox", "ip": "10.0.0.4"}'),
        "GET /nodes?limit=1000": EMPTY,
    }
    path = tmp_path / "1"
    path.mkdir()
    (path / "challenge.json").write_text('{"port": 3006, "challenge": "7KQ2"}')
    (path / "address").write_text("10.0.0.4\n")
    with (path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        enroller = enrol.Enroller(tmp_path, url)
        enroller.run_once()
    assert enroller.retry_at["7KQ2"] > time.monotonic() + enrol.RETRY_S
    body = {"ip": "10.0.0.4", "port": 3006, "challenge": "7KQ2", "labels": {"slot": "1"}}
    assert requests[0] == ("POST", "/nodes", body)
    assert (path / "reported").read_text() == "10.0.0.4\n"
    assert capsys.readouterr().out == "slot 1: node 4 (calm-fox) at 10.0.0.4 is enrolled\n"


def test_the_slots_of_nodes_that_the_master_does_not_know_are_marked_until_it_knows_them_again(
    enrol: ModuleType, tmp_path: Path, master: Any
):
    url, requests, answers = master
    answers["GET /nodes?limit=1000"] = EMPTY
    known, other = (slot(enrol, tmp_path / str(n), n, reported="10.0.0.1", address="10.0.0.1") for n in (1, 2))
    enrol.Enroller(tmp_path, url).run_once()
    assert known.is_removed
    assert other.is_removed
    answers["GET /nodes?limit=1000"] = (200, b'{"items": [{"id": 1}], "next": null}')
    enrol.Enroller(tmp_path, url).run_once()
    assert (known.is_removed, other.is_removed) == (False, True)
    assert {method for method, _, _ in requests} == {"GET"}


@pytest.mark.parametrize("answer", [(503, b"later"), (200, b"<html>")])
def test_a_master_without_a_readable_answer_is_a_problem_that_is_printed_once(
    enrol: ModuleType, tmp_path: Path, master: Any, capsys: pytest.CaptureFixture[str], answer: tuple[int, bytes]
):
    url, _, answers = master
    answers["GET /nodes?limit=1000"] = answer
    slot(enrol, tmp_path / "1", 1, reported="10.0.0.1", address="10.0.0.1")
    enroller = enrol.Enroller(tmp_path, url)
    enroller.run_once()
    enroller.run_once()
    printed = capsys.readouterr().out
    assert printed.count("the nodes could not be compared with the master's: GET /nodes?limit=1000") == 1
    assert not (tmp_path / "1" / "removed").exists()


def test_the_health_check_of_the_enroller_looks_at_the_file_that_it_touches(enrol: ModuleType):
    assert f"find {enrol.LAST_ROUND} -mmin -1" in (ROOT / "compose.yaml").read_text()


def slot(enrol: ModuleType, path: Path, node_id: int, *, reported: str, address: str, is_taken: bool = True):
    path.mkdir()
    (path / "identity.json").write_text(json.dumps({"config": {"node_id": node_id}}))
    (path / "reported").write_text(reported)
    (path / "address").write_text(address)
    return enrol.Slot(path, is_taken)


def test_the_health_checks_know_whether_an_agent_runs_and_the_one_of_compose_whether_it_is_enrolled(tmp_path: Path):
    settings = read_settings({"NODE_DATA_DIR": str(tmp_path)})
    assert health(tmp_path) == (1, 1)
    with sole_agent(settings):
        assert health(tmp_path) == (0, 1)
        settings.identity_file.write_text("{}")
        assert health(tmp_path) == (0, 0)
        (tmp_path / "challenge.json").touch()
        assert health(tmp_path) == (0, 1)


def health(data: Path) -> tuple[int, int]:
    """Exit codes of the image's own check and of the one in compose.yaml."""
    node = (ROOT / "docker/Dockerfile").read_text().split("FROM runtime AS node")[1].split("FROM runtime")[0]
    image = json.loads(node.split("CMD ")[-1])
    lines = (ROOT / "compose.yaml").read_text().split("        - >-\n")[1].splitlines()
    compose = " ".join(line.strip() for line in lines[:2]).replace("$$", "$")
    environment = {**os.environ, "NODE_DATA_DIR": str(data)}
    codes = [
        subprocess.run(command, env=environment, check=False).returncode for command in (image, ["sh", "-c", compose])
    ]
    return codes[0], codes[1]
