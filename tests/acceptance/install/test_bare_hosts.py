"""Bare Debian hosts in a network of their own, and a real master in another: from the pasted line to a proxy in use."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.install.debian import MASTER, NODE, PACKAGES, DebianRoot, debian_root, forwarded, wired
from tests.install.service_manager import ServiceManager
from tests.launch.registry import ROOT
from tests.services.folders import Folder
from tests.services.postgres import Database
from tests.services.programs import Process
from tests.services.rabbitmq import Vhost
from tests.services.sources import Where

pytestmark = pytest.mark.long


PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real bundles for both Debians, built by the master's command, which downloads the wheels of the lock."""
    folder = tmp_path_factory.mktemp("bundles") / "out"
    hosts = [word for python in PYTHONS.values() for word in ("--python", python)]
    command = ["-m", "master", "bundle", "build", "--out", str(folder), *hosts, "--machine", "x86_64", "--libc", "gnu"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the bundles could not be built: {done.stderr[-500:]}")
    return folder


@dataclass
class Master:
    """A real master in a network of its own, and its API by curl from there."""

    prefix: list[str]

    def curl(self, *words: str) -> str:
        command = [*self.prefix, "curl", "-q", "-sS", "--noproxy", "*", "--max-time", "60", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of the API."""
        sent = ["-H", "Content-Type: application/json", "-H", "Prefer: wait=30", "-d", json.dumps(body)] if body else []
        return json.loads(self.curl("-X", method, *sent, f"http://127.0.0.1:3005{path}"))

    def is_ready(self) -> bool:
        command = [*self.prefix, "curl", "-q", "-sf", "--noproxy", "*", "http://127.0.0.1:3005/health/ready"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(params=PYTHONS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DebianRoot]:
    with debian_root(tmp_path / "root", request.param, *PACKAGES) as made:
        yield made


@pytest.fixture
async def master(
    root: DebianRoot, bundles: Path, where: Where, database: Database, vhost: Vhost
) -> AsyncIterator[Master]:
    assert root.network is not None
    ports = [database.port, *vhost.used_ports]
    with wired(root.network) as network:
        prefix = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{network}"]
        settings = {"DOWNLOAD_PORT": "3007", "DOWNLOAD_URL": f"http://{MASTER}:3007", "API_HOST": "127.0.0.1"}
        settings |= {"BUNDLE_DIR": str(bundles), "RELEASE_KEYS_FILE": str(bundles / "release-keys")}
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **database.environment, **vhost.environment}
        folder = Folder(where.folder.path, durable=False)
        command = [*prefix, sys.executable, "-m", "master"]
        program = Process("master-in-a-network", command, folder.log("bare-master"), environment | settings)
        async with forwarded([network], ports), forwarded([root.network], [vhost.used_ports[0]]):
            await program.start()
            made = Master(prefix)
            try:
                async with asyncio.timeout(90):
                    while not await asyncio.to_thread(made.is_ready):
                        await asyncio.sleep(0.1)
                yield made
            finally:
                await program.stop()


async def test_the_pasted_line_brings_a_bare_host_to_a_proxy_in_use_and_purging_takes_all_of_it_away(
    root: DebianRoot, master: Master
) -> None:
    """With umask 077, no HOME, another language, and a /tmp in which nothing can be executed."""
    services = ServiceManager(root, wrapped=("env",))
    services.open()
    root.enter("mount", "-t", "tmpfs", "-o", "noexec,mode=1777", "tmpfs", str(root.path / "tmp"))
    before = root.listing(deep=False)
    try:
        await asyncio.to_thread(brought_to_a_proxy, root, master)
        line = master.ask("GET", "/install-command")["command"]
        again = await asyncio.to_thread(root.run, "sh", "-c", line)
        assert "nothing was changed" in again.stdout, again.stderr
        purged = await asyncio.to_thread(root.run, "sh", "-c", f"{line} --uninstall --purge")
        assert (purged.returncode, "nothing of maybe-node is left" in purged.stdout) == (0, True), purged.stderr
    finally:
        print(services.log if (root.path / "run/systemctl/log").exists() else "")
        services.close()
        root.run("/usr/local/bin/maybe-node", "stop")
    after = root.listing(deep=False)
    added = {name for name in after.keys() - before.keys() if not name.startswith("run/")}
    assert (added, before.keys() - after.keys()) == (set(), set())


def brought_to_a_proxy(root: DebianRoot, master: Master) -> None:
    """Paste the line, enrol the node, make a proxy, and use it by curl; the time that it takes is printed."""
    began = time.monotonic()
    line = master.ask("GET", "/install-command")["command"]
    environment = {"LANG": "ru_RU", "NODE_ALLOW_DESTINATIONS": MASTER}
    done = root.run("sh", "-c", f"umask 077; {line}", **environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    installed = time.monotonic()
    body = json.loads(root.run("/usr/local/bin/maybe-node", "challenge", "--json").stdout)["body"]
    node = master.ask("POST", "/nodes", {**body, "ip": NODE})
    proxy = master.ask("POST", "/proxies", {"node_ids": [node["id"]], "protocol": "http"})
    assert proxy["status"]["state"] == "running", proxy
    login = f"http://{proxy['username']}:{proxy['password']}@{NODE}:{proxy['port']}"
    page = master.curl("--noproxy", "", "-x", login, f"http://{MASTER}:3007/install.sh")
    assert page.startswith("#!/bin/sh")
    print(f"installed after {installed - began:.1f} s, a proxy in use after {time.monotonic() - began:.1f} s")


async def test_what_a_host_lacks_is_named_and_nothing_is_left_behind(root: DebianRoot, master: Master) -> None:
    line = master.ask("GET", "/install-command")["command"]
    root.write("srv/mn", master.curl(f"http://{MASTER}:3007/install.sh"))
    usr = root.path / "usr/bin"
    before = root.listing()

    async def said(*command: str) -> str:
        done = await asyncio.to_thread(root.run, *command)
        assert done.returncode == 1
        assert {name for name in root.listing().keys() ^ before.keys() if not name.startswith("tmp/")} <= hidden
        return done.stderr

    pythons = [path for path in usr.glob("python3*") if path.is_symlink() or os.access(path, os.X_OK)]
    hidden = {f"usr/bin/{path.name}" for path in pythons}
    for path in pythons:
        path.rename(usr / f".{path.name}")
    hidden |= {f"usr/bin/.{path.name}" for path in pythons}
    assert "there is no Python; a node needs Python 3.11 or newer: install it (apt-get install python3)" in await said(
        "sh", "-c", line
    )
    for name in ("openssl", "curl", "wget"):
        (usr / name).rename(usr / f".{name}")
        hidden |= {f"usr/bin/{name}", f"usr/bin/.{name}"}
        if name == "openssl":
            assert "Python or OpenSSL 3 is needed" in await said("sh", "-c", line)
    assert "neither curl nor wget nor Python is there" in await said("sh", "/srv/mn")


def test_one_file_installs_where_there_is_no_network(tmp_path: Path, bundles: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "BUNDLE_DIR": str(bundles)}
    environment |= {"RELEASE_KEYS_FILE": str(bundles / "release-keys")}
    file = tmp_path / "offline.tar"
    export = [sys.executable, "-m", "master", "bundle", "export", str(file), "--python", "3.11"]
    done = subprocess.run(export, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with debian_root(tmp_path / "root", "bookworm", *PACKAGES) as root:
        (root.path / "srv/offline.tar").write_bytes(file.read_bytes())
        done = root.run("sh", "-c", "cd /srv && tar -xf offline.tar install.sh && sh install.sh --offline offline.tar")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert root.run("/usr/local/bin/maybe-node", "--version").returncode == 0
