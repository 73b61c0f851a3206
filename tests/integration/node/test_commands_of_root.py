"""Root asks about an agent of another user, who may have put anything into the data directory."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from node.state.status_file import AgentStatus, WaitingChallenge

OWNER = 54_321
CHALLENGE = "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask about another user's agent")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def data(place: Path) -> Path:
    """The data directory of another user, whose agent waits to be enrolled."""
    (made := place / "data").mkdir(mode=0o700)
    waits = WaitingChallenge(ip="203.0.113.7", port=3006, challenge=CHALLENGE, expires_at=time.time() + 60)
    status = AgentStatus(version="1", pid=os.getpid(), started_at=time.time(), ready=True, challenge=waits)
    (made / "status.json").write_text(json.dumps(asdict(status)))
    (made / "agent.pid").write_text(f"{os.getpid()}\n")
    for path in (made, *made.iterdir()):
        os.chown(path, OWNER, OWNER)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return made


@contextmanager
def agent(data: Path) -> Iterator[None]:
    """Somebody holds the lock."""
    directory = os.open(data, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(directory)


def asked(data: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "node", *words],
        env={**os.environ, "NODE_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_root_gets_the_challenge_of_another_users_agent(data: Path) -> None:
    with agent(data):
        told = asked(data, "challenge", "--json")
    assert json.loads(told.stdout)["body"] == {"ip": "203.0.113.7", "challenge": CHALLENGE}


def test_root_reads_no_file_that_the_agents_user_may_not_read(data: Path, place: Path) -> None:
    (secret := place / "secret").write_bytes((data / "status.json").read_bytes())
    secret.chmod(0o600)
    (data / "status.json").unlink()
    os.link(secret, data / "status.json")  # a link to a file of root
    with agent(data):
        told = asked(data, "challenge")
    assert (told.returncode, told.stdout) == (1, "")
    assert "cannot be read" in told.stderr


def test_a_pipe_in_place_of_the_status_holds_nobody_up(data: Path) -> None:
    (data / "status.json").unlink()
    os.mkfifo(data / "status.json")
    os.chown(data / "status.json", OWNER, OWNER)
    with agent(data):
        assert "not a regular file" in asked(data, "status").stdout


def test_a_directory_that_its_owner_cannot_reach_is_named(data: Path, place: Path) -> None:
    place.chmod(0o700)
    told = asked(data, "health", "--deep")
    assert (told.returncode, "Traceback" in told.stderr) == (1, False)
    assert f"{data} cannot be examined: Permission denied" in told.stderr


def test_a_record_of_ports_is_written_with_the_rights_of_root(data: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "state").mkdir(mode=0o700)
    told = asked(data, "health", "--deep", "--record", str(folder / "ports"))
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads((folder / "ports").read_text()) == {"format": 1, "ports": ""}
    assert stat.S_IMODE((folder / "ports").stat().st_mode) == 0o644
