"""The agent as the upgrade sees it: restarts it, and has it examined by `maybe-node health --deep` as its own user."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from node.upgrade.copy_backup import User
from node.upgrade.layout import Layout
from node.upgrade.records import BadRecord
from node.upgrade.unpacking import LAUNCHER
from node.upgrade.untrusted import read_below

UNIT = "maybe-node.service"
STATUS = "status.json"
STATUS_LIMIT = 1 << 20
RECORD_LIMIT = 4 << 20
"""Bytes of the ports that accepted before: ten for each of at most some hundred thousand ports."""
TEXT_LIMIT = 65_536
POLL_S = 0.2
PASSED = (
    "PATH",
    "LANG",
    "HOME",
    "MAYBE_NODE_PYTHON",
    "LOG_LEVEL",
    "THREE_PROXY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
)
"""Variables that commands get, beside those of the node."""


class Unhealthy(Exception):
    """The agent, or a command about it, does not do what it should; the text is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Limits in seconds: of a command of systemd, of one health check, and of all checks after a restart. The agent has
    to pass twice, `steady_s` apart."""

    restart_s: float = 150.0
    health_s: float = 30.0
    check_s: float = 180.0
    steady_s: float = 5.0


@dataclass(frozen=True, slots=True)
class AgentControl:
    """Restarts and examines the agent of an installation."""

    layout: Layout
    user: User
    systemctl: str
    patience: Patience

    def restart(self) -> None:
        """Restart the agent with the current version, and wait until systemd calls it started. Raises Unhealthy."""
        self._systemctl("restart", UNIT)

    def stop(self) -> None:
        """Stop the agent; its proxies go on. Raises Unhealthy."""
        self._systemctl("stop", UNIT)

    def reload_units(self) -> None:
        """Have systemd read the units again. Raises Unhealthy."""
        self._systemctl("daemon-reload")

    def record(self, version: str) -> bytes:
        """Return which ports accept now, as the installed version writes it. Raises Unhealthy."""
        return self._health(version, "--record", "-")

    def try_out(self, version: str) -> None:
        """Have a version that does not run yet name itself. Raises Unhealthy."""
        answer = last_line(self._run(version, "--version"))
        if answer.split()[-1:] != [version]:
            raise Unhealthy(f"version {version} does not run on this host: it calls itself {answer!r}")

    def check(self, version: str) -> None:
        """Wait until this version runs and every port that accepted before accepts again. Raises Unhealthy.

        Neither the broker nor the master has a say in that.
        """
        limit = time.monotonic() + self.patience.check_s
        while True:
            try:
                started = self._examine(version)
                time.sleep(self.patience.steady_s)
                if self._examine(version) == started:
                    return
                raise Unhealthy(f"the agent of version {version} keeps restarting")
            except Unhealthy:
                if time.monotonic() > limit:
                    raise
                time.sleep(POLL_S)

    def _examine(self, version: str) -> object:
        """Examine the agent once; return which process it is. Raises Unhealthy."""
        runs, process = self._status()
        if runs != version:
            raise Unhealthy(f"the agent of version {version} did not start")
        self._health(version, "--against", str(self.layout.ports_file))
        return process

    def _status(self) -> tuple[str, object]:
        """Read version and process id that the agent wrote, which it could forge: that harms its own node alone."""
        try:
            raw = read_below(self.layout.data_dir, STATUS, limit=STATUS_LIMIT)
            body = json.loads(raw or b"{}")
            return str(body.get("version", "")), body.get("pid")
        except (BadRecord, OSError, ValueError, AttributeError, RecursionError) as error:
            raise Unhealthy(f"{STATUS} of the agent cannot be read: {error}") from error

    def _health(self, version: str, *options: str) -> bytes:
        """Run the health check of a version. Raises Unhealthy."""
        return self._run(version, "health", "--deep", *options)

    def _run(self, version: str, *arguments: str) -> bytes:
        """Run a command of a version as the agent's user. Raises Unhealthy."""
        command = [str(self.layout.versions / version / LAUNCHER), *arguments]
        user = None if self.user.is_self else self.user
        return run(limited(command), self.patience.health_s, environment(self.layout.data_dir), user)

    def _systemctl(self, *act: str) -> None:
        """Have systemd act. Raises Unhealthy."""
        scope = ["--user"] if self.layout.is_user else []
        run([self.systemctl, *scope, *act], self.patience.restart_s, environment(self.layout.data_dir))


def environment(data_dir: Path) -> dict[str, str]:
    """Return the variables for a command about the agent."""
    kept = {key: value for key, value in os.environ.items() if key in PASSED or key.startswith("NODE_")}
    return {"PATH": os.defpath, **kept, "NODE_DATA_DIR": str(data_dir)}


def run(command: list[str], seconds: float, variables: dict[str, str], user: User | None = None) -> bytes:
    """Run a command and return its output. Raises Unhealthy when it fails, or does not end in time.

    Its outputs go to files in memory, so that nobody waits for a process that it left behind.
    """
    name = " ".join(Path(part).name for part in command if "ulimit" not in part)[:80]
    out, err = os.memfd_create("out"), os.memfd_create("err")
    with os.fdopen(out, "r+b") as output, os.fdopen(err, "r+b") as errors:
        try:
            done = subprocess.run(  # noqa: S603 (our own programs)
                command,
                check=False,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=variables,
                cwd="/",
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        except subprocess.TimeoutExpired:
            raise Unhealthy(f"{name} did not end within {seconds:.0f} s") from None
        except OSError as error:
            raise Unhealthy(f"{name} cannot be run: {error.strerror}") from error
        output.seek(0)
        errors.seek(0)
        if done.returncode:
            raise Unhealthy(last_line(errors.read(TEXT_LIMIT)) or f"{name} ended with {done.returncode}")
        return output.read(RECORD_LIMIT)


def limited(command: list[str]) -> list[str]:
    """Wrap a command so that no file that it writes grows beyond RECORD_LIMIT."""
    return ["/bin/sh", "-c", f'ulimit -f {RECORD_LIMIT // 512} 2>/dev/null; exec "$0" "$@"', *command]


def last_line(text: bytes) -> str:
    """Return the last line with text, printable, without the level of a finding of the doctor."""
    lines = [" ".join(line.split()) for line in text.decode(errors="replace").splitlines() if line.strip()]
    line = lines[-1].removeprefix("problem ") if lines else ""
    return "".join(letter if letter.isprintable() else "?" for letter in line[:200])
