"""`./dev node`: starts one more node in a running cluster, and prints the body of POST /nodes that enrols it.

The launcher starts the node when it receives SIGUSR1, so that it ends with everything else.
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
    """Start a node for each SIGUSR1 until cancelled; runs in the launcher."""
    from tests.launch.returning import launch_new

    requests = asyncio.Semaphore(0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, requests.release)
    while True:
        await requests.acquire()
        await launch_new(cluster, 1, memory)
        report(f"{list(cluster.nodes)[-1]} waits to be enrolled")


def main() -> int:
    """Run `./dev node`. Exit codes: 0 with the body of POST /nodes on stdout, 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(
        prog="./dev node",
        description="Start one more node, which waits to be enrolled, and print the body of POST /nodes.",
    )
    parser.add_argument("--port", type=int, help="port of the API, if several clusters run from this folder")
    records = [record for record in registry.read_all(parser.parse_args().port) if record.phase == "up" and record.runs]
    if not records:
        print("no cluster runs from this folder; start one: ./dev up", file=sys.stderr)
        return 1
    os.kill(records[0].launcher.pid, signal.SIGUSR1)
    body = wait_for_invitation(records[0])
    if body is None:
        print(f"the new node was not ready within {LIMIT_S:.0f} s; look for the reason: ./dev status", file=sys.stderr)
        return 1
    print(json.dumps(body))
    return 0


def wait_for_invitation(before: Record) -> dict[str, Any] | None:
    """Wait for the first node that was not in the record before, and return its invitation."""
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
    """Return ip, port and challenge of a waiting node; None until it has written them."""
    try:
        written = json.loads((Path(program["data"]) / "challenge.json").read_text())
    except (OSError, ValueError, KeyError):
        return None
    return {"ip": program["ip"], "port": written["port"], "challenge": written["challenge"]}


if __name__ == "__main__":
    sys.exit(main())
