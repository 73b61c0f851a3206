"""An installation in a folder, whose versions are small stand-ins, with a stand-in for systemctl."""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.commands import apply_upgrade
from node.upgrade.layout import Layout, system_layout, user_layout
from tests.services.sandbox import NOBODY

OLD, NEW = "0.1.0", "0.2.0"
QUICK = ("--restart-seconds", "20", "--check-seconds", "0.1", "--steady-seconds", "0.01")

LAUNCHER = r"""#!/bin/sh
# The health check of a stand-in: what FAULT names is wrong with this version.
here=$(cd -P "$(dirname "$0")" && pwd)
fault=$(cat "$here/FAULT")
[ "$1" = --version ] && [ "$fault" = broken ] && exit 3
[ "$1" = --version ] && exec echo "maybe-node $(cat "$here/VERSION")"
[ "$1 $2" = "health --deep" ] || exit 9
id -u > "$NODE_DATA_DIR/checked-by" 2>/dev/null || :
case "$3:$fault" in
    --record:*) echo '{"ports": [20000]}' ;;
    --against:deaf | --against:schema) echo "port 20000 accepted before, and does not now" >&2; exit 1 ;;
    --against:endless) yes ;;
    --against:*) [ -r "$4" ] ;;
esac
"""

SYSTEMCTL = r"""#!/bin/sh
# Restarts the stand-in of an agent: one that starts writes its version and a new process id.
echo "$*" >> "@ROOT@/systemctl.log"
[ "$1" = --user ] && shift
version=$(cat "@PREFIX@/current/VERSION")
fault=$(cat "@PREFIX@/current/FAULT")
start() {
    echo "$version" > "@ROOT@/running"
    case "$fault" in
        crash) return 1 ;;
        hang) sleep 5 & wait ;;
        fills) cat /dev/zero > "@DATA@/filler" 2>/dev/null; : ;;
        schema) python3 -c 'import sqlite3; sqlite3.connect("@DATA@/copy.db").execute("CREATE TABLE later (x)")' ;;
    esac
    [ "$fault" = fills ] || rm -f "@DATA@/filler"
    echo "{\"version\": \"$version\", \"pid\": $$}" > "@DATA@/status.json"
    chown --reference "@DATA@" "@DATA@"/*
}
case "$1" in
    stop) echo none > "@ROOT@/running" ;;
    restart) start ;;
esac
"""


@dataclass
class Installation:
    """A node of version OLD below a folder of its own. `owner` is the uid of the agent's user."""

    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="maybe-upgrade-")))
    owner: int = field(default_factory=lambda: 0 if os.geteuid() else NOBODY)
    is_user: bool = False
    """Whether it is one of `--user`, below the home directory `root`."""

    def __post_init__(self) -> None:
        self.root.chmod(0o755)
        self.owner = os.geteuid() if self.is_user else self.owner or os.geteuid()
        layout = self.layout
        for folder in (layout.versions, layout.keys_file.parent, layout.data_dir / "upgrade", layout.units_dir):
            folder.mkdir(parents=True)
        write_version(layout.versions / OLD, OLD)
        layout.current.symlink_to(f"versions/{OLD}")
        program = SYSTEMCTL.replace("@ROOT@", str(self.root)).replace("@PREFIX@", str(layout.prefix))
        self.systemctl.write_text(program.replace("@DATA@", str(layout.data_dir)))
        self.systemctl.chmod(0o755)
        self.own_data()
        layout.data_dir.chmod(0o700)

    @property
    def layout(self) -> Layout:
        if self.is_user:
            return user_layout(self.root, self.root / ".local/share/maybe-node/versions" / OLD)
        return system_layout(self.root, self.root / "opt/maybe-node/versions" / OLD)

    @property
    def code(self) -> Path:
        """Where code of the version that would run lies: what the unit's ExecStart does."""
        entry = self.layout.upgrader if self.layout.upgrader.exists() else self.layout.current
        return entry / "lib/node/upgrade/layout.py"

    @property
    def systemctl(self) -> Path:
        return self.root / "systemctl"

    @property
    def current(self) -> str:
        return Path(os.readlink(self.layout.current)).name

    @property
    def running(self) -> str:
        """The version with which the agent was started last; OLD ran before any restart."""
        path = self.root / "running"
        return path.read_text().strip() if path.exists() else OLD

    @property
    def restarts(self) -> list[str]:
        path = self.root / "systemctl.log"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def state(self) -> dict[str, Any] | None:
        path = self.layout.state_file
        return json.loads(path.read_text()) if path.exists() else None

    def request(self, **members: Any) -> None:
        """Write a request as the agent does."""
        self.plant(json.dumps(members).encode())

    def plant(self, body: bytes) -> Path:
        """Write bytes in the place of the request, as the agent's user."""
        path = self.layout.data_dir / "upgrade/request.json"
        path.write_bytes(body)
        self.own_data()
        return path

    def own_data(self) -> None:
        """Give everything in the data folder to the agent's user."""
        data = self.layout.data_dir
        for each in (data, *data.rglob("*")):
            os.chown(each, self.owner, self.owner, follow_symlinks=False)

    def apply(self, *arguments: str) -> int:
        """Run the program in this process."""
        return apply_upgrade.main([*QUICK, "--systemctl", str(self.systemctl), *arguments], self.code)

    def install(self, version: str, fault: str = "") -> None:
        """Place a version as install.sh does."""
        write_version(self.layout.versions / version, version, fault)

    def assert_serves(self) -> None:
        """Check that `current` is a whole version: the one that would run now or after a reboot."""
        folder = self.layout.current.resolve(strict=True)
        assert (folder / "VERSION").read_text().strip() == folder.name
        assert os.access(folder / "maybe-node", os.X_OK)

    def remove(self) -> None:
        shutil.rmtree(self.root)


def write_version(folder: Path, version: str, fault: str = "") -> None:
    """Write the folder of a stand-in, with its list FILES."""
    import hashlib

    (folder / "lib/node").mkdir(parents=True)
    (folder / "systemd").mkdir()
    contents = {
        "VERSION": f"{version}\n",
        "PYTHON": "3.11\n",
        "FAULT": fault,
        "maybe-node": LAUNCHER,
        "lib/node/__init__.py": f"VERSION = {version!r}\n",
        "systemd/maybe-node.service": f"# of {version}\n",
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755 if name == "maybe-node" else 0o644)
    lines = [f"{hashlib.sha256(content.encode()).hexdigest()}  {name}\n" for name, content in contents.items()]
    (folder / "FILES").write_text("".join(lines))
