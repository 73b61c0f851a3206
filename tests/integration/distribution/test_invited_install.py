"""The line that installs an invited node, run by a real shell with a `curl` that serves a script."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from master.distribution.install_script import install_line
from master.domain.nodes.invitations.installation import installation
from master.domain.nodes.protocols import InstallSource

CODE = "3-7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"
SCRIPT = b"""main() { echo "got $NODE_INVITATION $NODE_MASTER_URL $*"; tr '\\0' ' ' < /proc/$PPID/cmdline > "$SEEN"; }
main "$@"
"""


def path_with_curl(folder: Path, script: bytes) -> dict[str, str]:
    """An environment whose `curl` writes this script, and whose `sudo` runs its arguments and shows them."""
    (folder / "served").write_bytes(script)
    for name, text in {
        "curl": f'while [ "$1" != -o ]; do shift; done; cat {folder}/served > "$2"',
        "sudo": f'echo "$*" >> {folder}/arguments; exec "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "SEEN": str(folder / "seen"), "TMPDIR": str(folder)}


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_line_gives_the_installer_the_code_and_shows_it_in_no_argument(shell: str, tmp_path: Path):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    made = installation(CODE, InstallSource("http://192.0.2.1:3007", SCRIPT))
    environment = path_with_curl(tmp_path, SCRIPT)
    assert made["command"] is not None
    done = subprocess.run(
        [shell, "-s"], input=made["command"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"got {CODE} http://192.0.2.1:3007" in done.stdout
    assert CODE not in (tmp_path / "arguments").read_text() + (tmp_path / "seen").read_text()


def test_a_script_that_differs_from_its_hash_is_not_run(tmp_path: Path):
    line = install_line("http://192.0.2.1:3007", SCRIPT, environment={"NODE_INVITATION": CODE}).text
    environment = path_with_curl(tmp_path, SCRIPT + b"\n")
    done = subprocess.run(["sh", "-s"], input=line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "got" not in done.stdout


def test_user_data_run_the_whole_line_as_one_command():
    made = installation(CODE, InstallSource("http://192.0.2.1:3007", SCRIPT))
    assert made["cloud_init"] == f"#cloud-config\nruncmd:\n  - |\n    {made['command']}\n"
    assert hashlib.sha256(SCRIPT).hexdigest() in str(made["command"])


def test_a_master_without_bundles_gives_the_variables_alone():
    made = installation(CODE, InstallSource("http://192.0.2.1:3005"))
    assert (made["command"], made["cloud_init"]) == (None, None)
    assert made["environment"] == {"NODE_INVITATION": CODE, "NODE_MASTER_URL": "http://192.0.2.1:3005"}
