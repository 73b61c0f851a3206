"""Notices to a service manager, over a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.service.notices import Notices, notices_of


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address as systemd names it, and its socket."""
    path = f"{tmp_path}/notify"
    address = path if request.param == "path" else f"@{path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path if request.param == "path" else f"\0{path}")
        listener.settimeout(5)
        yield address, listener


def test_each_notice_is_one_datagram(manager: tuple[str, socket.socket]):
    address, listener = manager
    notices = Notices(address)
    notices.ready()
    notices.status("3 of 3\nREADY=1 " + "x" * 300)
    notices.alive()
    notices.stopping()
    received = [listener.recv(4096).decode() for _ in range(4)]
    assert received[0] == "READY=1"
    assert received[1] == "STATUS=" + ("3 of 3 READY=1 " + "x" * 300)[:200]
    assert received[2:] == ["WATCHDOG=1", "STOPPING=1"]


def test_the_managers_variables_are_taken_out_of_the_environment():
    env = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid()), "PATH": "/"}
    assert notices_of(env).watchdog_s == 60
    assert env == {"PATH": "/"}


@pytest.mark.parametrize(
    "env",
    [
        {"WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "relative", "WATCHDOG_USEC": "1000000"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(env: dict[str, str]):
    assert notices_of(env).watchdog_s is None


def test_a_manager_that_is_gone_fails_nothing_and_is_logged_once(tmp_path: Path):
    notices = Notices(f"{tmp_path}/none")
    with capture_logs() as logs:
        notices.ready()
        notices.alive()
    assert [entry["event"] for entry in logs] == ["notice.not_sent"]


def test_a_manager_that_does_not_read_is_not_waited_for_and_gets_the_notice_later(manager: tuple[str, socket.socket]):
    notices = Notices(manager[0])
    for _ in range(2000):
        notices.alive()
    notices.ready()
    while manager[1].recv(4096) == b"WATCHDOG=1":
        notices.repeat()


def test_without_a_manager_nothing_is_sent():
    Notices().ready()
