"""`./dev status`: what `./dev up` runs from this folder at this moment."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.cluster import ROOT, Cluster
from tests.processes import is_running

FOLDER = ROOT / ".dev"


def write(cluster: Cluster) -> None:
    """Write down, for the owner's eyes, what runs. Each API port has its own file."""
    FOLDER.mkdir(exist_ok=True)
    state = {
        "api": f"http://127.0.0.1:{cluster.api_port}",
        "amqp_url": cluster.vhost.amqp_url,
        "management_url": cluster.vhost.management_url,
        "database_url": cluster.database.url,
        "programs": {name: {"pid": program.pid, "log": str(program.log)} for name, program in cluster.programs.items()},
    }
    aside = file_of(cluster.api_port).with_suffix(".new")
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600)
    aside.write_text(json.dumps({"launcher": os.getpid(), "state": state}, indent=2))
    aside.replace(file_of(cluster.api_port))


def forget(api_port: int) -> None:
    file_of(api_port).unlink(missing_ok=True)


def file_of(api_port: int) -> Path:
    return FOLDER / f"up-{api_port}.json"


def read() -> dict[str, Any] | None:
    """The cluster that was started last and still runs."""
    files = sorted(FOLDER.glob("up-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        written = json.loads(path.read_text())
        if is_running(written["launcher"]):
            return written["state"]
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev status")
    parser.add_argument("--json", action="store_true", help="for a program; holds passwords")
    arguments = parser.parse_args()
    state = read()
    if state is None:
        print("nothing runs from this folder: ./dev up starts a cluster", file=sys.stderr)
        return 1
    print(json.dumps(state, indent=2) if arguments.json else table(state))
    return 0


def table(state: dict[str, Any]) -> str:
    rows = [("API", state["api"]), ("API docs", f"{state['api']}/api"), ("RabbitMQ", state["management_url"])]
    programs = state["programs"].items()
    lines = [f"{title:10} {address}" for title, address in rows]
    lines += ["", f"{'program':10} {'pid':>8}  log"]
    return "\n".join([*lines, *(f"{name:10} {each['pid'] or '-':>8}  {each['log']}" for name, each in programs)])


if __name__ == "__main__":
    sys.exit(main())
