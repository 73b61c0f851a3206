"""Runs the service of a bare root as its installed unit says: a stand-in for systemd that restricts as much.

Its user, capabilities, read-only root, hidden processes, system call filters and notifications are those of the unit.
Of its processes only the main one is ended (KillMode=process).
"""

import json
import os
import socket
import struct
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from tests.install import confine
from tests.install.roots import Root
from tests.install.systemctl import add_systemd
from tests.install.unit_files import filters_of, unit_in

UNIT = "maybe-node.service"
CREDENTIALS = struct.Struct("iii")
POLL_S = 0.02
READY_S = 90.0
STOP_S = 20.0
RESTART_S = 2.0

NAMESPACE = """
root=$1
shift
mount --bind "$root/var/lib/maybe-node" "$root/var/lib/maybe-node"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0,ro tmpfs "$root/home"
mount -t tmpfs -o mode=0,ro tmpfs "$root/root"
mount -t proc -o hidepid=2 proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
exec chroot "$root" "$@"
"""
"""ProtectSystem=strict, StateDirectory=, PrivateTmp=, ProtectHome=, ProtectProc=invisible, ProtectKernelTunables=."""


@dataclass
class ServiceManager:
    """Begins with `open`. `words` counts the notifications of the main process; `ends` are its exit codes.

    `wrapped` are words before the program's, such as those of strace; then nothing is restricted but its user.
    """

    root: Root
    wrapped: tuple[str, ...] = ()
    words: Counter[str] = field(default_factory=Counter[str])
    ends: list[int] = field(default_factory=list[int])
    process: "subprocess.Popen[bytes] | None" = None
    is_wanted: bool = False
    over: Event = field(default_factory=Event)

    def open(self) -> None:
        """Have the root's systemctl ask this manager."""
        add_systemd(self.root)
        for folder in ("requests", "answers"):
            (self.root.path / "run/systemctl" / folder).mkdir()
        (self.root.path / "srv").mkdir(exist_ok=True)
        source = Path(confine.__file__)
        self.root.write("srv/confine.py", source.read_text())
        self._listener = self._notifications()
        self._thread = Thread(target=self._work)
        self._thread.start()

    def close(self) -> None:
        """End the main process and this manager; other processes of the service go on."""
        self.over.set()
        self._thread.join()
        self._stop()
        self._listener.close()

    @property
    def log(self) -> str:
        return (self.root.path / "run/systemctl/log").read_text()

    def kill(self) -> None:
        """Kill the main process, which is then started again."""
        assert self.process
        self.process.kill()

    def run_confined(self, code: str) -> int:
        """Run Python code as the service would, and return the exit code."""
        unit = unit_in(self.root.path, UNIT) | {"ExecStart": ["/usr/bin/python3 -I -c"]}
        done = subprocess.run(
            [*self._namespace, *self._confined(unit), code], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return done.returncode

    @property
    def _namespace(self) -> list[str]:
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", NAMESPACE, "sh"]
        return [*self.root.outside, *command, str(self.root.path)]

    def _notifications(self) -> socket.socket:
        """The socket of sd_notify(3); the path goes through a descriptor, since it may have 107 bytes."""
        folder = os.open(self.root.path / "run/systemd", os.O_PATH)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listener.bind(f"/proc/self/fd/{folder}/notify")
        os.close(folder)
        (self.root.path / "run/systemd/notify").chmod(0o777)
        return listener

    def _work(self) -> None:
        requests = self.root.path / "run/systemctl/requests"
        while not self.over.wait(POLL_S):
            self._read_words()
            self._keep_running()
            for request in requests.iterdir():
                if not request.name.startswith("."):
                    act, unit = request.read_text().split()
                    request.unlink()
                    self._answer(request.name, self._done(act, unit))

    def _answer(self, name: str, text: str) -> None:
        answers = self.root.path / "run/systemctl/answers"
        (answers / f".{name}").write_text(text)
        (answers / f".{name}").rename(answers / name)

    def _done(self, act: str, unit: str) -> str:
        """Do it, and return the error or nothing."""
        mark = self.root.path / "run/systemctl" / unit
        if unit == UNIT and act in ("stop", "restart"):
            self._stop()
        if act == "stop":
            mark.unlink(missing_ok=True)
            return ""
        if unit == UNIT and not self._start():
            return f"Job for {unit} failed because the control process exited with error code.\n"
        mark.touch()
        return ""

    def _start(self) -> bool:
        """Start the main process, and wait until it is ready."""
        self.is_wanted = True
        self._spawn()
        limit, before = time.monotonic() + READY_S, self.words["READY=1"]
        while time.monotonic() < limit and self.process and self.process.poll() is None:
            self._read_words()
            if self.words["READY=1"] > before:
                return True
            time.sleep(POLL_S)
        return False

    def _keep_running(self) -> None:
        """Restart=always."""
        if self.is_wanted and self.process and self.process.poll() is not None:
            self.ends.append(self.process.returncode)
            if not self.over.wait(RESTART_S):
                self._spawn()

    def _stop(self) -> None:
        self.is_wanted = False
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _spawn(self) -> None:
        unit = unit_in(self.root.path, UNIT)
        with (self.root.path / "run/systemctl/log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._namespace, *self._confined(unit)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment(unit),
                umask=int(unit["UMask"][0], 8),
            )

    def _confined(self, unit: dict[str, list[str]]) -> list[str]:
        """The program, and what makes it the service's: User=, capabilities, NoNewPrivileges=, filters."""
        [program] = unit["ExecStart"]
        user, group = unit["User"][0], unit["Group"][0]
        if self.wrapped:
            return ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", *self.wrapped, *program.split()]
        self.root.write("srv/filters.json", json.dumps(filters_of(unit)))
        kept = ",+".join(
            ["-all", *(name.removeprefix("CAP_").lower() for name in unit["AmbientCapabilities"][0].split())]
        )
        bounds = ",+".join(
            ["-all", *(n.removeprefix("CAP_").lower() for n in unit["CapabilityBoundingSet"][0].split())]
        )
        words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", f"--inh-caps={kept}"]
        words += [f"--ambient-caps={kept}", f"--bounding-set={bounds}", "--no-new-privs"]
        return [*words, "/usr/bin/python3", "-I", "/srv/confine.py", "/srv/filters.json", *program.split()]

    def _environment(self, unit: dict[str, list[str]]) -> dict[str, str]:
        [file] = unit["EnvironmentFile"]
        lines = (self.root.path / file.removeprefix("-")[1:]).read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        found = {name: value.strip("'\"") for name, value in settings.items()}
        path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        seconds = int(unit["WatchdogSec"][0])
        return {**path, "NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": str(seconds * 10**6), **found}

    def _read_words(self) -> None:
        """NotifyAccess=main: the words of other processes do not count."""
        with suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = self._listener.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
                senders = [CREDENTIALS.unpack(body)[0] for _, kind, body in ancillary if kind == socket.SCM_CREDENTIALS]
                if self.process and senders == [self.process.pid]:
                    self.words.update(data.decode().splitlines())
