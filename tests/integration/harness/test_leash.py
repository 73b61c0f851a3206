"""Nothing that a launcher started stays behind, however it ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.leash import RUN
from tests.services.processes import is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="adopting orphans is Linux's own (prctl(2))")

LEASH = [sys.executable, "-m", "tests.services.leash"]
RUNAWAY = "setsid sleep 300 & echo $! > {pid}; echo $$ > {own}; {then}"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "pid", tmp_path / "own"


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_is_the_commands(code: int) -> None:
    assert leashed(f"exit {code}").wait(10) == code


def test_a_command_that_a_signal_ended_is_told_by_its_code() -> None:
    assert leashed("kill -KILL $$").wait(10) == 128 + signal.SIGKILL


def test_a_command_that_does_not_exist_is_told_by_its_code() -> None:
    assert subprocess.run([*LEASH, "/no/such/program"], capture_output=True, check=False).returncode == 127


def test_what_a_command_left_running_is_named_and_ended(files: tuple[Path, Path]) -> None:
    done = subprocess.run(
        [*LEASH, "sh", "-c", script(files, "exit 0")], capture_output=True, text=True, check=False, timeout=20
    )
    pid = int(files[0].read_text())
    # By its number: until it has become `sleep` it still bears the shell's name.
    assert (f"({pid})" in done.stderr, is_running(pid)) == (True, False)


def test_a_killed_command_leaves_nothing_behind(files: tuple[Path, Path]) -> None:
    leash = leashed(script(files, "wait"))
    os.kill(written(files[1]), signal.SIGKILL)
    assert leash.wait(10) == 128 + signal.SIGKILL
    assert not is_running(written(files[0]))


def test_a_killed_launcher_leaves_nothing_behind(files: tuple[Path, Path]) -> None:
    leash = leashed(script(files, "wait"))
    runaway = written(files[0])
    leash.kill()
    leash.wait(10)
    assert eventually(lambda: not is_running(runaway))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_gets_the_signal_that_the_launcher_got(files: tuple[Path, Path], number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    leash = leashed(script(files, f"trap 'exit 9' {name}; echo ready > {files[1]}.ready; while :; do sleep 0.05; done"))
    assert eventually(files[1].with_suffix(".ready").exists)
    leash.send_signal(number)
    assert leash.wait(10) == 9


def test_the_folder_of_a_run_goes_with_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    leashed(f'touch "${RUN}/data"; echo "${RUN}" > {told}').wait(10)
    assert not Path(told.read_text().strip()).exists()


def script(files: tuple[Path, Path], then: str) -> str:
    return RUNAWAY.format(pid=files[0], own=files[1], then=then)


def leashed(text: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*LEASH, "sh", "-c", text], stderr=subprocess.DEVNULL)


def written(path: Path) -> int:
    """The process id in it, once it is there."""
    assert eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def eventually(ask: Callable[[], bool], within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while not ask():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
