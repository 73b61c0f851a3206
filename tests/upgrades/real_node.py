"""A node that is installed from real bundles, with real proxies, and a stand-in for systemctl that runs its agent."""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.engine.builtin.pool.directory import home_of
from node.engine.builtin.pool.processes import worker_names, worker_pid
from node.upgrade.layout import Layout, system_layout
from node.upgrade.reading import read_own
from node.upgrade.records import NodeUpgradeState
from node.upgrade.unpacking import sha256_of, unpack
from node.upgrade.versions import Versions
from shared.proxies import ProxyRecord
from shared.release.manifest import bundle_folder
from tests.clients.streams import HERE, free_port
from tests.release.bundles import Release, make_release
from tests.services.sandbox import NOBODY

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WAIT_S = 60.0
OLD, NEW = "0.1.0", "0.2.0"

SYSTEMCTL = """#!/bin/sh
# Runs the agent as the unit does: a process of its own user, whose proxies outlive it.
stop() {
    [ -f "@ROOT@/pid" ] || return 0
    pid=$(cat "@ROOT@/pid")
    kill -TERM "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || kill -KILL "$pid" 2>/dev/null
        sleep 0.1
    done
}
start() {
    cd /
    export NODE_DATA_DIR="@DATA@" NODE_LISTEN=127.0.0.1 NODE_ENROL_HOST=127.0.0.1 NODE_ENROL_PORT=@PORT@
    export NODE_WORKERS=1 NODE_ALLOW_DESTINATIONS=127.0.0.0/8 PATH="@PATH@"
    setsid @AS@ "@PREFIX@/current/maybe-node" run </dev/null >>"@ROOT@/agent.log" 2>&1 &
    echo $! >"@ROOT@/pid"
}
echo "$*" >>"@ROOT@/systemctl.log"
case "$1" in
    stop) stop ;;
    start) start ;;
    restart) stop; start ;;
esac
"""


@dataclass
class RealNode:
    """A node below a folder of its own, of version OLD until it is upgraded."""

    root: Path
    bundles: Path

    def __post_init__(self) -> None:
        self.root.chmod(0o755)
        is_root = os.geteuid() == 0 and Path("/usr/bin/python3.11").exists()
        self.owner = NOBODY if is_root else os.geteuid()
        self.path = (
            f"{self.root}:{SYSTEM_PATH if is_root else os.environ['PATH']}"  # the stand-in is the first systemctl
        )
        layout = self.layout
        for folder in (layout.versions, layout.keys_file.parent, layout.data_dir, layout.units_dir):
            folder.mkdir(parents=True)
        release = make_release(self.bundles / OLD, OLD)
        layout.keys_file.write_text(release.public_key + "\n")
        unpacked = self.root / "unpacked"
        unpack(release.bundle, unpacked, bundle_folder(OLD))
        Versions(layout).place(unpacked, OLD, sha256_of(release.bundle))
        layout.current.symlink_to(f"versions/{OLD}")
        os.chown(layout.data_dir, self.owner, self.owner)
        layout.data_dir.chmod(0o700)
        self._write_systemctl()

    @property
    def layout(self) -> Layout:
        return system_layout(self.root, self.root / "opt/maybe-node/versions" / OLD)

    @property
    def systemctl(self) -> Path:
        return self.root / "systemctl"

    @property
    def state(self) -> NodeUpgradeState | None:
        return read_own(NodeUpgradeState, self.layout.state_file)

    @property
    def current(self) -> str:
        return Path(os.readlink(self.layout.current)).name

    @property
    def workers(self) -> set[int]:
        """The processes that serve the proxies."""
        home = home_of(self.layout.data_dir / "builtin")
        return {pid for name in worker_names(home) if (pid := worker_pid(home, *name)) is not None}

    def _write_systemctl(self) -> None:
        user = f"setpriv --reuid {self.owner} --regid {self.owner} --clear-groups" if os.geteuid() == 0 else ""
        text = SYSTEMCTL
        for name, value in {
            "@ROOT@": str(self.root),
            "@PREFIX@": str(self.layout.prefix),
            "@DATA@": str(self.layout.data_dir),
            "@PORT@": str(free_port()),
            "@PATH@": self.path,
            "@AS@": user,
        }.items():
            text = text.replace(name, value)
        self.systemctl.write_text(text)
        self.systemctl.chmod(0o755)

    def hold(self, proxies: list[ProxyRecord]) -> None:
        """Put proxies into the local copy, as if a master had assigned them."""
        from node.state.store import Store

        path = self.layout.data_dir / "copy.db"
        Store(path).close()
        with closing(sqlite3.connect(path)) as db, db:
            for proxy in proxies:
                row = (proxy.id, 1, proxy.content, 1, proxy.model_dump_json(), "", None)
                db.execute("INSERT INTO proxies VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                db.execute("INSERT INTO wanted VALUES (?, 1)", (proxy.id,))
        for each in self.layout.data_dir.iterdir():
            os.chown(each, self.owner, self.owner)

    def control(self, act: str) -> None:
        """Start or stop the agent."""
        subprocess.run([self.systemctl, act], check=True)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the current version as the agent's user."""
        user = {"user": self.owner, "group": self.owner, "extra_groups": []} if os.geteuid() == 0 else {}
        variables = {"PATH": self.path, "NODE_DATA_DIR": str(self.layout.data_dir), "NODE_LISTEN": HERE}
        command = [str(self.layout.current / "maybe-node"), *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120, **user)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def wait_healthy(self) -> None:
        """Wait until the agent serves what it should."""
        self.wait(lambda: self.run("health", "--deep").returncode == 0, "to be healthy")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < limit, f"waited {what}\n{self.log[-3000:]}"
            time.sleep(0.1)

    @property
    def log(self) -> str:
        path = self.root / "agent.log"
        return path.read_text() if path.exists() else ""

    def release(self, version: str = NEW, replaced: Mapping[str, bytes | None] | None = None) -> Release:
        return make_release(self.bundles / version, version, replaced=replaced)

    def request(self, release: Release, url: str, id_: int = 1) -> None:
        """Write a request as the agent does."""
        from shared.messages.bodies import UpgradeRequest

        version = release.manifest.version
        body = UpgradeRequest(
            id=id_, version=version, url=f"{url}/{version}/manifest.json", sha256=release.manifest_sha256
        )
        folder = self.layout.data_dir / "upgrade"
        folder.mkdir(exist_ok=True)
        (folder / "request.json").write_text(body.model_dump_json())
        for each in (folder, folder / "request.json"):
            os.chown(each, self.owner, self.owner)

    def apply(self, *arguments: str) -> int:
        """Run the program with the code of the version that carries the upgrade out, as the unit does."""
        entry = "upgrader" if self.layout.upgrader.exists() else "current"
        launcher = self.layout.prefix / entry / "maybe-node"
        variables = {"PATH": self.path, "NODE_DATA_DIR": str(self.layout.data_dir), "NODE_LISTEN": HERE}
        options = ["--systemctl", str(self.systemctl), "--steady-seconds", "1", *arguments]
        log = self.root / "upgrade.log"
        with log.open("ab") as errors:
            done = subprocess.run(
                [str(launcher), "apply-upgrade", *options], env=variables, stderr=errors, check=False, timeout=300
            )
        return done.returncode

    @property
    def upgrade_log(self) -> str:
        return (self.root / "upgrade.log").read_text()

    def end(self) -> None:
        """End agent and proxies."""
        self.control("stop")
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)


@contextmanager
def real_node(bundles: Path) -> Iterator[RealNode]:
    """Install a node; end and remove it afterwards."""
    node = RealNode(Path(tempfile.mkdtemp(prefix="maybe-real-")), bundles)
    try:
        yield node
    finally:
        node.end()
        shutil.rmtree(node.root)
