"""The agent's description of itself: written whole, and read without trust in who wrote it."""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.state.status_file import (
    OLD_S,
    READ_LIMIT,
    AgentCounts,
    AgentStatus,
    BrokerUse,
    NoStatus,
    WaitingChallenge,
    parsed,
    read_status,
    write_status,
)

STATUS = AgentStatus(
    version="0.1.0",
    pid=7,
    started_at=1_700_000_000.5,
    ready=True,
    link="up",
    broker=BrokerUse(url="amqps://broker.example:5671/" + "v" * 400, rev=4, state="failed", reason="r" * 300),
    listen="::1",
    proxies=AgentCounts(wanted=3, running=2, failed=1),
    challenge=WaitingChallenge(ip="203.0.113.7", port=3006, challenge="AAAA-BBBB", expires_at=1_700_001_800),
)


@pytest.mark.parametrize("status", [STATUS, replace(STATUS, challenge=None, broker=None)])
def test_a_status_is_read_as_it_was_written_and_by_its_user_only(tmp_path: Path, status: AgentStatus):
    path = tmp_path / "status.json"
    write_status(path, status)
    assert read_status(path) == status
    assert path.stat().st_mode & 0o777 == 0o600


def test_leftovers_of_a_killed_agent_do_not_stop_the_next(tmp_path: Path):
    (tmp_path / ".status.json").write_text("half")
    write_status(tmp_path / "status.json", STATUS)
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]


def test_a_status_that_nobody_renews_is_called_old(tmp_path: Path):
    path = tmp_path / "status.json"
    write_status(path, STATUS)
    with pytest.raises(NoStatus, match=r"is 31 s old.*hangs"):
        read_status(path, now=path.stat().st_mtime + OLD_S + 1)


def test_a_missing_status_is_explained(tmp_path: Path):
    with pytest.raises(NoStatus, match=r"status.json does not exist.*see its log"):
        read_status(tmp_path / "status.json")


def test_a_link_is_not_followed(tmp_path: Path):
    write_status(tmp_path / "secret", STATUS)
    (tmp_path / "status.json").symlink_to(tmp_path / "secret")
    with pytest.raises(NoStatus, match="cannot be read"):
        read_status(tmp_path / "status.json")


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "status.json")
    with pytest.raises(NoStatus, match="not a regular file"):
        read_status(tmp_path / "status.json")


def test_a_huge_file_is_not_read(tmp_path: Path):
    (tmp_path / "status.json").write_bytes(b" " * (READ_LIMIT + 1))
    with pytest.raises(NoStatus, match=f"more than {READ_LIMIT} bytes"):
        read_status(tmp_path / "status.json")


def content(**changes: object) -> bytes:
    return json.dumps(asdict(STATUS) | changes).encode()


ODD = [
    b"",
    content()[:-1],
    b"[" * 60_000,
    b"null",
    b"\xff",
    content(pid=-1),
    content(pid=True),
    content(pid=10**30),
    content(started_at=float("nan")),
    content(started_at=1e300),
    content(version="\x1b[31m"),
    content(version="x" * 201),
    content(link="\x1b"),
    content(listen=None),
    content(broker=[]),
    content(broker={"url": "\n", "rev": 1, "state": "", "reason": ""}),
    content(broker={"url": "", "rev": -1, "state": "", "reason": ""}),
    content(proxies={"wanted": 1}),
    content(proxies=[]),
    content(challenge=[]),
    content(challenge={"ip": "\n"}),
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_a_torn_or_odd_status_is_called_damaged(body: bytes):
    with pytest.raises(NoStatus, match="damaged, or of another release"):
        parsed(Path("status.json"), body)


def test_a_status_of_an_agent_that_cannot_be_moved_is_read():
    members = {name: value for name, value in asdict(STATUS).items() if name != "broker"}
    assert parsed(Path("status.json"), json.dumps(members).encode()) == replace(STATUS, broker=None)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail_in_another_way(body: bytes):
    with pytest.raises(NoStatus):
        parsed(Path("status.json"), body)


def test_the_age_is_counted_from_now(tmp_path: Path):
    write_status(tmp_path / "status.json", STATUS)
    os.utime(tmp_path / "status.json", (0, time.time() - OLD_S - 10))
    with pytest.raises(NoStatus, match="old"):
        read_status(tmp_path / "status.json")
