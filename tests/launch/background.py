"""`./dev up --detach`: starts the launcher in the background and returns when everything works."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.launch import registry
from tests.launch.__main__ import UpOptions

LOOK_S = 0.1


def started(command: Sequence[str], options: UpOptions) -> int:
    """Start the launcher and show its output until everything works. Returns 0, or its exit code if it ended before."""
    path = registry.log_of(options.port)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)  # the output holds passwords
    with path.open("ab") as log:
        launcher = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=registry.ROOT
        )
    pass_on_signals(launcher)
    code = follow(launcher, path, options.port)
    if code is None:
        print(ending(options.port, path), flush=True)
    return code or 0


def pass_on_signals(launcher: "subprocess.Popen[bytes]") -> None:
    """Stop the launcher when Ctrl-C is pressed while it starts."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if launcher.poll() is None:
            launcher.send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def follow(launcher: "subprocess.Popen[bytes]", path: Path, port: int) -> int | None:
    """Copy the launcher's output to ours until the cluster is up (returns None) or it ends (returns its exit code)."""
    with path.open("rb") as log:
        while True:
            code, is_up = launcher.poll(), is_ready(port, launcher.pid)
            sys.stdout.buffer.write(log.read())
            sys.stdout.buffer.flush()
            if is_up or code is not None:
                return None if is_up else code
            time.sleep(LOOK_S)


def is_ready(port: int, front: int) -> bool:
    """Whether the launcher that we started (under the leash `front`) has recorded that the cluster is up."""
    record = next(iter(registry.read_all(port)), None)
    return bool(record and record.phase == "up" and record.launcher.is_alive and record.front == front)


def ending(port: int, path: Path) -> str:
    chosen = "" if port == registry.DEFAULT_PORT else f" --port {port}"
    return f"""The cluster runs in the background.

  look   ./dev status{chosen}
         tail -f {os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path}
  stop   ./dev down{chosen}
"""
