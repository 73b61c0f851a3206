"""What the containers of compose.yaml do beside our programs: take a slot, say how they are, enrol who waits."""

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from node.settings import read_settings
from node.state.agent_lock import sole_agent
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
    """Starts the entry of a container with this name; it says its slot and runs until its input ends."""
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


def test_a_slot_keeps_what_is_in_it_but_a_challenge_and_begins_anew_when_its_node_was_removed(
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


def test_nodes_known_by_an_address_that_is_anothers_now_step_aside_whether_they_run_or_not(
    enrol: ModuleType, tmp_path: Path
):
    a = slot(enrol, tmp_path / "1", 1, told="10.0.0.1", address="10.0.0.2")
    b = slot(enrol, tmp_path / "2", 2, told="10.0.0.2", address="10.0.0.1")
    c = slot(enrol, tmp_path / "3", 3, told="10.0.0.1", address="10.0.0.1", is_held=False)
    d = slot(enrol, tmp_path / "4", 4, told="10.0.0.4", address="10.0.0.4")
    assert enrol.in_the_way([a, b, c, d], {"10.0.0.1", "10.0.0.2", "10.0.0.4"}) == [a, b, c]


def test_of_two_slots_of_one_node_the_one_that_was_enrolled_last_is_the_nodes(enrol: ModuleType, tmp_path: Path):
    old = slot(enrol, tmp_path / "1", 7, told="10.0.0.1", address="10.0.0.1")
    new = slot(enrol, tmp_path / "2", 7, told="10.0.0.2", address="10.0.0.2")
    os.utime(old.path / "identity.json", (1, 1))
    assert enrol.enrolled([old, new]) == enrol.enrolled([new, old]) == [new]


def slot(enrol: ModuleType, path: Path, node_id: int, *, told: str, address: str, is_held: bool = True):
    path.mkdir()
    (path / "identity.json").write_text(json.dumps({"config": {"node_id": node_id}}))
    (path / "told").write_text(told)
    (path / "address").write_text(address)
    return enrol.Slot(path, is_held)


def test_the_health_checks_tell_whether_an_agent_runs_and_those_of_compose_whether_it_is_enrolled(tmp_path: Path):
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
    image = json.loads((ROOT / "docker/node.Dockerfile").read_text().split("CMD ")[-1])
    lines = (ROOT / "compose.yaml").read_text().split("        - >-\n")[1].splitlines()
    compose = " ".join(line.strip() for line in lines[:2]).replace("$$", "$")
    environment = {**os.environ, "NODE_DATA_DIR": str(data)}
    codes = [
        subprocess.run(command, env=environment, check=False).returncode for command in (image, ["sh", "-c", compose])
    ]
    return codes[0], codes[1]
