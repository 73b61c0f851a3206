"""The units of the node, as systemd's own tools judge them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[3] / "node/systemd"
EXPOSURE = {"maybe-node.service": 1.8, "maybe-node-upgrade.service": 2.8}
"""The upgrade runs as root: it writes code."""
PROGRAMS = ("opt/maybe-node/current/maybe-node", "bin/sh")
TARGETS = ("network-online", "multi-user", "sysinit", "basic", "shutdown", "paths", "local-fs", "default")


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is missing on this machine (package systemd)")
    return found


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"], ids=["system", "user"])
def test_systemd_finds_nothing_in_the_units(analyze: str, folder: Path, tmp_path: Path) -> None:
    """In a copy whose programs are there."""
    home = tmp_path / "home"
    for name in PROGRAMS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", tmp_path / name)
    units = sorted(folder.glob("maybe-node*.*"))
    assert len(units) == 3
    for unit in units:
        text = unit.read_text().replace("/opt/maybe-node/", f"{tmp_path}/opt/maybe-node/")
        text = text.replace("%h/.local/share/maybe-node/", f"{tmp_path}/opt/maybe-node/")
        (tmp_path / unit.name).write_text(text.replace("User=maybe-node", "User=root").replace("Group=maybe-node", ""))
    home.mkdir()
    command = [analyze, "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(home)})
    ours = [line for line in done.stderr.splitlines() if "maybe-node" in line]
    assert ours == []


@pytest.mark.parametrize("unit", EXPOSURE)
def test_the_units_are_closed_as_far_as_their_work_allows(analyze: str, unit: str) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--no-pager", str(UNITS / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "offline" in done.stderr:
        pytest.skip(f"this systemd-analyze cannot read a file: {done.stderr.strip()}")
    [exposure] = re.findall(r"Overall exposure level.*: ([0-9.]+)", done.stdout)
    assert float(exposure) <= EXPOSURE[unit]


def test_the_agents_end_is_not_the_end_of_its_proxies() -> None:
    for unit in (UNITS / "maybe-node.service", UNITS / "user/maybe-node.service"):
        lines = unit.read_text().splitlines()
        assert {"KillMode=process", "Restart=always", "OOMPolicy=continue", "StartLimitIntervalSec=0"} <= set(lines)
        assert not any(line.startswith(("DynamicUser", "RuntimeDirectory")) for line in lines)


def test_an_upgrade_that_fails_before_it_has_read_the_request_is_not_tried_without_a_pause() -> None:
    """The request is still there then, and the path unit starts the service again as soon as it has ended."""
    for folder in (UNITS, UNITS / "user"):
        lines = (folder / "maybe-node-upgrade.service").read_text().splitlines()
        [after] = [line.partition("=")[2] for line in lines if line.startswith("ExecStopPost=")]
        assert after == "/bin/sh -c 'test \"$SERVICE_RESULT\" = success || exec sleep 60'"


def test_the_user_of_the_service_may_write_its_own_data_alone() -> None:
    lines = (UNITS / "maybe-node.service").read_text().splitlines()
    assert {"ProtectSystem=strict", "ProtectHome=yes", "NoNewPrivileges=yes", "StateDirectory=maybe-node"} <= set(lines)
    assert not any(line.startswith("ReadWritePaths") for line in lines)
