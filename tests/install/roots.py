"""A root folder of its own for each test, with the programs that it names and no others, in namespaces of its own.

Only libraries are mounted into it, from this host and read-only, so what an installer leaves behind is what the folder
has. Its network has nothing but a loopback, where `serving` answers.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.cluster.networks import CLONE_FS, CLONE_NEWNET, CLONE_NEWNS, call, raise_loopback, unshared

PROGRAMS = (
    "awk cat chmod chown cmp cp cut date df dirname env find flock getent grep groupdel gzip head id ln ls mkdir "
    "mktemp mv nologin readlink rm rmdir sed setpriv sh sha256sum sleep sort stat su sync tail tar tr uname useradd "
    "userdel wc"
)
"""What the installer may count on: coreutils, the usual small tools, and those of accounts."""
FOLDERS = "dev etc home opt proc root run tmp usr/bin usr/local/bin var/lib var/tmp"
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
PREFIX = "/usr" if os.access(f"/usr/bin/{PYTHON}", os.X_OK) else sys.base_prefix
"""Where the Python of the roots is: this host's own, if it is of the version that runs the tests."""
PORT = 3007
URL = f"http://127.0.0.1:{PORT}"
LIMIT_S = 600.0
"""Of one command: an upgrade to a version that never becomes healthy is undone after three minutes."""
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
    "etc/group": "root:x:0:\nann:x:1000:\n",
    "etc/shadow": "root:*:20000:0:99999:7:::\nann:*:20000:0:99999:7:::\n",
    "etc/gshadow": "root:*::\nann:!::\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\n",
    "etc/login.defs": "SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\nUSERGROUPS_ENAB yes\n",
    "etc/os-release": "ID=debian\n",
}


@dataclass
class Root:
    """A root folder, with a network of its own unless `network` is None."""

    path: Path
    mounts: int = field(default_factory=lambda: unshared("mnt", CLONE_NEWNS | CLONE_FS))
    network: int | None = field(default_factory=lambda: unshared("net", CLONE_NEWNET))

    def open(self, programs: str = f"{PROGRAMS} python3 curl") -> None:
        """Make the folder and its mounts."""
        self.path.chmod(0o755)
        for folder in FOLDERS.split():
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            (self.path / name).write_text(text)
        (self.path / "tmp").chmod(0o1777)
        self.write("run/calls", "", 0o666)
        (self.path / "home/ann").mkdir()
        os.chown(self.path / "home/ann", 1000, 1000)
        (self.path / "bin").symlink_to("usr/bin")
        self.mount()
        for name in programs.split():
            self.add(name)
        if self.network is not None:
            with entered(self.network):
                raise_loopback()

    def mount(self) -> None:
        """Mount this host's libraries, its programs, and the Python of the tests."""
        self.enter("mount", "--make-rprivate", "/")
        self.enter("mount", "--bind", str(self.path), str(self.path))
        for folder in LIBRARIES:
            if os.path.islink(folder):
                (self.path / folder[1:]).symlink_to(os.readlink(folder))
            elif os.path.isdir(folder):
                self.bind(folder, folder)
        self.bind("/usr", "/usr/host")
        if PREFIX != "/usr":
            self.bind(PREFIX, "/usr/python")
            self.bind(PREFIX, PREFIX)  # where it looks for its shared library
        self.mount_devices()

    def mount_devices(self) -> None:
        self.enter("mount", "-t", "proc", "proc", str(self.path / "proc"))
        for name in ("null", "zero", "urandom"):
            (self.path / "dev" / name).touch()
            self.enter("mount", "--bind", f"/dev/{name}", str(self.path / "dev" / name))

    def bind(self, folder: str, there: str) -> None:
        target = self.path / there[1:]
        target.mkdir(parents=True, exist_ok=True)
        self.enter("mount", "--bind", "-o", "ro", folder, str(target))

    def add(self, name: str) -> None:
        """Have a program of this host below usr/bin. Skips the test where this host lacks it."""
        link = self.path / "usr/bin" / name
        if name in ("python3", PYTHON):
            link.symlink_to(f"/usr/{'host' if PREFIX == '/usr' else 'python'}/bin/{PYTHON}")
            return
        found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
        if found is None:
            pytest.skip(f"{name} is missing on this host")
        real = os.path.realpath(found)
        link.symlink_to(f"/usr/host/{Path(real).relative_to('/usr')}" if real.startswith("/usr/") else real)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the root, with this environment and no terminal."""
        words = [*self.prefix, "env", "-i", *(f"{k}={v}" for k, v in {**ENVIRONMENT, **environment}.items()), *command]
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )

    @property
    def prefix(self) -> list[str]:
        """Words that, before a command, run it in the root."""
        return [*self.outside, "chroot", str(self.path)]

    @property
    def outside(self) -> list[str]:
        """Words that run a command of this host with the root's mounts and network."""
        here = f"/proc/{os.getpid()}/fd"
        network = [] if self.network is None else [f"--net={here}/{self.network}"]
        return ["nsenter", f"--mount={here}/{self.mounts}", *network]

    def install(self, script: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Write the installer to /tmp/mn, run it as root, and remove it."""
        self.write("tmp/mn", script)
        try:
            return self.run("sh", "/tmp/mn", *options, **environment)
        finally:
            (self.path / "tmp/mn").unlink()

    def listing(self, *, deep: bool = True) -> dict[str, tuple[Any, ...]]:
        """Each path outside the mounts; with `deep` also its kind, mode, owner, time, inode and size."""
        found: dict[str, tuple[Any, ...]] = {}
        for folder, folders, names in os.walk(self.path):
            inside = Path(folder).relative_to(self.path)
            folders[:] = [name for name in folders if str(inside / name) not in MOUNTED]
            for name in (*folders, *(name for name in names if str(inside / name) not in NOTED)):
                status = os.lstat(os.path.join(folder, name))
                owner = (status.st_mode, status.st_uid, status.st_gid)
                whole = (*owner, status.st_ino, status.st_mtime_ns * (not stat.S_ISDIR(status.st_mode)), status.st_size)
                found[str(inside / name)] = whole if deep else owner
        return found

    def calls(self, name: str = "run/calls") -> list[str]:
        """What was asked of a stand-in since the last time: of the node's program, or of systemctl."""
        lines = self.text(name).splitlines()
        os.truncate(self.path / name, 0)
        return lines

    def text(self, name: str) -> str:
        return (self.path / name.lstrip("/")).read_text()

    def close(self) -> None:
        os.close(self.mounts)
        if self.network is not None:
            os.close(self.network)

    def enter(self, *command: str, given: str = "") -> None:
        """Run a command of this host where the root's mounts are."""
        prefix = ["nsenter", f"--mount=/proc/{os.getpid()}/fd/{self.mounts}"]
        subprocess.run([*prefix, *command], check=True, capture_output=True, text=True, input=given)


MOUNTED = {"usr/host", "usr/python", "proc", "dev", *(folder[1:] for folder in LIBRARIES)}


NOTED = ("run/calls", "run/systemctl/calls")
"""Where the stand-ins note what was asked of them."""


@contextmanager
def entered(network: int) -> Iterator[None]:
    """Move the current thread into this network."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    call("setns", network, CLONE_NEWNET)
    try:
        yield
    finally:
        call("setns", own, CLONE_NEWNET)
        os.close(own)


def require_roots() -> None:
    """Skip the test, with the reason, where no root can be made."""
    if os.geteuid() != 0:
        pytest.skip("root is needed to mount a root folder")
    try:
        os.close(unshared("mnt", CLONE_NEWNS | CLONE_FS))
    except OSError as error:
        pytest.skip(f"this kernel or account forbids namespaces: {error.strerror}")


@contextmanager
def serving(root: Root, files: Mapping[str, bytes]) -> Iterator[list[str]]:
    """Serve files of one version in the root's network; the paths that were asked for. `files` may change meanwhile."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = files.get(self.path.rpartition("/")[2]) if self.path.startswith("/bundle/versions/") else None
            self.send_response(404 if body is None else 200)
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    assert root.network is not None
    with entered(root.network):
        server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
