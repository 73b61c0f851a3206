"""The agent's side of an upgrade: whether this node can be upgraded, the request, and what a report contains."""

import os
import shutil
import subprocess
from pathlib import Path

from node.upgrade.decisions import is_answered, upgrade_report
from node.upgrade.layout import Layout
from node.upgrade.reading import FOLDER, REQUEST, read_own, read_request
from node.upgrade.records import BadRecord, NodeUpgradeState, written
from shared.durable_files import write_file
from shared.messages.bodies import UpgradeReport, UpgradeRequest

PATH_UNIT = "maybe-node-upgrade.path"
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
ASK_S = 10.0


def why_unable(layout: Layout | None) -> str:
    """Return why this node cannot be upgraded by its master; empty when it can. Blocks while it asks systemd."""
    if layout is None:
        if any(mark.exists() for mark in CONTAINER_MARKS) or os.environ.get("container"):  # noqa: SIM112 (podman's spelling)
            return "this node runs in a container: start it from a newer image"
        return "this node was not installed by install.sh: upgrade it as it was installed, by pip for example"
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return f"this host has no systemd to start {PATH_UNIT}: run the install line again to upgrade this node"
    scope = ["--user"] if layout.is_user else []
    try:
        command = [systemctl, *scope, "is-active", PATH_UNIT]
        asked = subprocess.run(command, check=False, timeout=ASK_S, capture_output=True)  # noqa: S603 (the host's)
    except (subprocess.TimeoutExpired, OSError) as error:
        return f"systemd does not answer whether {PATH_UNIT} runs: {type(error).__name__}"
    return "" if asked.returncode == 0 else f"{PATH_UNIT} does not run: `systemctl enable --now {PATH_UNIT}` starts it"


def write_request(data_dir: Path, request: UpgradeRequest, state: NodeUpgradeState | None) -> bool:
    """Write the request, once for each id; whether it was written. A later request takes the place of an earlier one.

    Raises OSError.
    """
    if is_answered(request, state) or (state is not None and state.id == request.id):
        return False
    waiting = waiting_request(data_dir)
    if waiting is not None and waiting.id >= request.id:
        return False
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    write_file(folder / REQUEST, written(request), 0o600)
    return True


def waiting_request(data_dir: Path) -> UpgradeRequest | None:
    """Read the request that waits; None when it is unreadable, since the next one replaces it."""
    try:
        return read_request(data_dir)
    except (BadRecord, OSError):
        return None


def last_state(layout: Layout | None) -> NodeUpgradeState | None:
    """Read the state of the last upgrade; None when there is none, or when it cannot be read."""
    try:
        return None if layout is None else read_own(NodeUpgradeState, layout.state_file)
    except (BadRecord, OSError):
        return None


def current_report(layout: Layout | None, data_dir: Path, unable: str) -> UpgradeReport:
    """Derive from what is on disk what a report contains, so that a restarted agent reports the same."""
    return upgrade_report(unable, waiting_request(data_dir), last_state(layout))
