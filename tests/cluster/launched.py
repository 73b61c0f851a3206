"""`./dev up` for a test, started in the background as a person would."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.launch.registry import ROOT, Record, read_all
from tests.services.ports import API, claim_block

LIMIT_S = 300.0


@dataclass
class Launched:
    """A cluster of this checkout with a port of its own."""

    port: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def record(self) -> Record:
        return read_all(self.port)[0]

    def dev(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(ROOT / "dev"), *arguments, "--port", str(self.port)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S, cwd=ROOT)

    def up(self, *arguments: str) -> str:
        """Start the cluster and return the output once everything works."""
        done = self.dev("up", "--detach", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        return json.loads(self.dev("status", "--json").stdout)

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Call the API and return its answer, which must be a success."""
        answer = httpx.request(method, f"{self.api}{path}", timeout=30, trust_env=False, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def kill(self) -> None:
        """Kill the launcher together with everything that would clear up after it."""
        record = self.record
        pids = (record.keeper.pid, record.launcher.pid, record.front)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)


@contextmanager
def launcher() -> Iterator[Launched]:
    """Provide a launcher, and end everything of it afterwards."""
    with claim_block().held() as ports:
        made = Launched(ports.port(API))
        try:
            yield made
        finally:
            made.dev("down")
