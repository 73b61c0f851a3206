"""`./dev node`: one more node for a cluster that runs, waiting to be enrolled; prints what POST /nodes takes.

The launcher starts it, so that it ends with everything else: SIGUSR1 asks for one, and the record shows it.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.launch import registry
from tests.launch.registry import Record

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster
    from tests.launch.memory import Memory


LIMIT_S = 60.0


async def serve_requests(cluster: "Cluster", memory: "Memory", report: Callable[[str], None]) -> None:
    """In the launcher: start a node for each signal, until cancelled."""
    from tests.launch.returning import launch_new

    asked = asyncio.Semaphore(0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, asked.release)
    while True:
        await asked.acquire()
        await launch_new(cluster, 1, memory)
        report(f"{list(cluster.nodes)[-1]} waits to be enrolled")


def main() -> int:
    """Exit codes: 0 with the body of POST /nodes on stdout, 1 with the reason."""
    parser = argparse.ArgumentParser(prog="./dev node", description="One more node, which waits to be enrolled.")
    parser.add_argument("--port", type=int, help="of the API, when several clusters run from this folder")
    records = [record for record in registry.read_all(parser.parse_args().port) if record.phase == "up" and record.runs]
    if not records:
        print("no cluster runs from this folder: ./dev up starts one", file=sys.stderr)
        return 1
    os.kill(records[0].launcher.pid, signal.SIGUSR1)
    body = wait_for_invitation(records[0])
    if body is None:
        print(f"the new node did not begin to wait within {LIMIT_S:.0f} s: ./dev status", file=sys.stderr)
        return 1
    print(json.dumps(body))
    return 0


def wait_for_invitation(before: Record) -> dict[str, Any] | None:
    """What the first node that was not there before shows."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        now = next(iter(registry.read_all(before.port)), before)
        for name, program in now.state["programs"].items():
            body = invitation(program) if name not in before.state["programs"] else None
            if body:
                return body
        time.sleep(0.05)
    return None


def invitation(program: Mapping[str, Any]) -> dict[str, Any] | None:
    """ip, port and challenge of a node that waits; None as long as it has not written them."""
    try:
        shown = json.loads((Path(program["data"]) / "challenge.json").read_text())
    except (OSError, ValueError, KeyError):
        return None
    return {"ip": program["ip"], "port": shown["port"], "challenge": shown["challenge"]}


if __name__ == "__main__":
    sys.exit(main())
