"""The agent's side: a request is written once, and reports follow what is on disk."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.agent.upgrade_requests import UpgradeReceiver
from node.upgrade.reading import REQUEST
from node.upgrade.records import NodeUpgradeState
from node.upgrade.requests import current_report, last_state, waiting_request, why_unable, write_request
from shared.messages.bodies import UpgradeReport, UpgradeRequest
from tests.upgrades.installation import Installation


def request(id_: int = 5, version: str = "0.2.0") -> UpgradeRequest:
    url = "http://198.51.100.1:3007/bundle/manifest.json"
    return UpgradeRequest(id=id_, version=version, url=url, sha256="ab" * 32)


def state(id_: int, name: str) -> NodeUpgradeState:
    return NodeUpgradeState.model_validate({"id": id_, "version": "0.2.0", "from": "0.1.0", "state": name})


@pytest.fixture
def with_systemd(node: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation on a host where the path unit runs, and whose agent is this process."""
    node.owner = os.geteuid()
    node.own_data()
    monkeypatch.setenv("PATH", str(node.root), prepend=":")
    return node


def test_a_request_is_written_once_for_each_id(tmp_path: Path) -> None:
    assert write_request(tmp_path, request(), None)
    assert not write_request(tmp_path, request(version="0.3.0"), None)
    assert waiting_request(tmp_path) == request()
    assert stat.S_IMODE((tmp_path / "upgrade" / REQUEST).stat().st_mode) == 0o600


def test_a_later_request_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    assert write_request(tmp_path, request(), None)
    assert write_request(tmp_path, request(6), None)
    assert not write_request(tmp_path, request(5), None)
    assert waiting_request(tmp_path) == request(6)


@pytest.mark.parametrize("name", ["fetching", "done", "refused"])
def test_a_request_that_is_known_is_not_written_again(tmp_path: Path, name: str) -> None:
    assert not write_request(tmp_path, request(), state(5, name))
    assert not write_request(tmp_path, request(4), state(5, name))
    assert waiting_request(tmp_path) is None


def test_an_unreadable_request_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "upgrade").mkdir()
    (tmp_path / "upgrade" / REQUEST).write_text("{")
    assert write_request(tmp_path, request(), None)
    assert waiting_request(tmp_path) == request()


def test_a_node_that_was_not_installed_by_the_line_says_how_to_upgrade_it() -> None:
    reason = why_unable(None)
    assert "was not installed by install.sh" in reason or "runs in a container" in reason


def test_a_host_without_systemd_is_not_able(node: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(node.root / "nothing"))
    assert "has no systemd" in why_unable(node.layout)


def test_a_host_where_the_path_unit_runs_is_able(with_systemd: Installation) -> None:
    assert why_unable(with_systemd.layout) == ""
    with_systemd.systemctl.write_text("#!/bin/sh\nexit 3\n")
    assert "maybe-node-upgrade.path does not run" in why_unable(with_systemd.layout)


def test_reports_follow_what_is_on_disk(node: Installation) -> None:
    layout = node.layout
    layout.state_dir.mkdir(parents=True)
    node.request(**request().model_dump())
    assert current_report(layout, layout.data_dir, "").id == 5
    layout.state_file.write_text(json.dumps({"id": 5, "version": "0.2.0", "from": "0.1.0", "state": "done"}))
    assert last_state(layout) == state(5, "done")
    report = current_report(layout, layout.data_dir, "")
    assert report == UpgradeReport(able=True, id=5, version="0.2.0", state="done")
    layout.state_file.write_text("nonsense")
    assert current_report(layout, layout.data_dir, "").id == 5


class Following:
    """Requests that are followed, and an event for each report that is due."""

    def __init__(self, upgrades: UpgradeReceiver) -> None:
        self.upgrades, self.due = upgrades, asyncio.Event()
        upgrades.on_change = self.due.set

    async def reported(self, state: str) -> UpgradeReport:
        """Wait for a report of this state about an upgrade."""
        async with asyncio.timeout(10):
            while self.upgrades.report.id is None or self.upgrades.report.state != state:
                await self.due.wait()
                self.due.clear()
        return self.upgrades.report


@pytest.fixture
async def following(with_systemd: Installation) -> AsyncIterator[Following]:
    upgrades = UpgradeReceiver(with_systemd.layout, with_systemd.layout.data_dir)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(upgrades.run())
        yield Following(upgrades)
        task.cancel()


async def test_a_message_becomes_a_request_and_its_end_is_reported(node: Installation, following: Following) -> None:
    following.upgrades.take(request())
    assert (await following.reported("")).able
    assert waiting_request(node.layout.data_dir) == request()
    node.layout.state_dir.mkdir(parents=True)
    node.layout.state_file.write_text(json.dumps({"id": 5, "version": "0.2.0", "from": "0.1.0", "state": "done"}))
    assert (await following.reported("done")).version == "0.2.0"


async def test_a_node_that_is_not_able_refuses_with_the_reason(tmp_path: Path) -> None:
    upgrades = UpgradeReceiver(None, tmp_path)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(upgrades.run())
        upgrades.take(request())
        report = await Following(upgrades).reported("refused")
        task.cancel()
    assert (report.able, report.id, bool(report.reason)) == (False, 5, True)
    assert not (tmp_path / "upgrade").exists()


async def test_a_disk_that_refuses_the_request_is_reported(node: Installation, following: Following) -> None:
    folder = node.layout.data_dir / "upgrade"
    folder.rmdir()
    folder.write_text("in the way")
    following.upgrades.take(request())
    assert "the request cannot be written" in (await following.reported("refused")).reason
