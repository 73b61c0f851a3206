"""`./dev status`: the clusters that `./dev up` runs from this folder now, according to processes and API."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.launch import registry
from tests.launch.registry import DEFAULT_PORT, Record, named
from tests.services.processes import is_running

ANSWER_S = 3.0
NOTHING = "nothing runs from this folder; start a cluster: ./dev up"


def main() -> int:
    """Run `./dev status`. Exit codes: 0 a cluster runs, 1 none does."""
    parser = argparse.ArgumentParser(prog="./dev status", description="Show the clusters that run from this folder.")
    parser.add_argument(
        "--json", action="store_true", help="print the cluster that was started last as JSON, with its passwords"
    )
    parser.add_argument("--port", type=int, help="show only the cluster whose API has this port")
    arguments = parser.parse_args()
    records = [record for record in registry.read_all(arguments.port) if record.runs or record.left]
    running = [record for record in records if record.runs]
    if arguments.json and running:
        print(json.dumps(for_programs(running[0]), indent=2))
    elif not arguments.json:
        print("\n\n".join(map(table, records)) if records else NOTHING, file=None if records else sys.stderr)
    else:
        print(table(records[0]) if records else NOTHING, file=sys.stderr)
    return 0 if running else 1


def for_programs(record: Record) -> dict[str, Any]:
    nodes = nodes_by_id(record)
    programs = {
        name: {**program, "state": state_of(program, nodes)} for name, program in record.state["programs"].items()
    }
    return {**record.state, "phase": record.phase, "launcher": record.launcher.pid, "programs": programs}


def table(record: Record) -> str:
    """Format a cluster for a person."""
    if record.left:
        return f"{record.api} was killed and left processes behind ({named(record.left)}); end them: ./dev down"
    nodes = nodes_by_id(record)
    rows = [
        ("API", f"{record.api} ({answering(record, nodes)})"),
        ("API docs", f"{record.api}/api"),
        ("RabbitMQ", record.state.get("management_url", "not started yet")),
        ("data", f"{record.folder} ({'kept' if record.kept else 'deleted at the end'})"),
        ("launcher", f"process {record.launcher.pid}; {stopping(record)}"),
        *([("log", record.log)] if record.log else []),
    ]
    lines = [f"{title:10} {address}" for title, address in rows]
    lines += ["", f"{'program':10} {'pid':>8}  {'state':34} log"]
    return "\n".join([*lines, *(line(name, each, nodes) for name, each in record.state["programs"].items())])


def line(name: str, program: Mapping[str, Any], nodes: Mapping[int, Mapping[str, Any]] | None) -> str:
    return f"{name:10} {program['pid'] or '-':>8}  {state_of(program, nodes):34} {program['log']}"


def answering(record: Record, nodes: object) -> str:
    if nodes is not None:
        return record.phase
    return f"{record.phase}; {'needs a token: set API_TOKEN' if needs_token(record) else 'does not answer'}"


def needs_token(record: Record) -> bool:
    """Whether the API refuses requests without a token, or with the one of API_TOKEN."""
    try:
        ask(f"{record.api}/tokens/current")
    except urllib.error.HTTPError as error:
        return error.code == HTTPStatus.UNAUTHORIZED
    except (OSError, ValueError):
        pass
    return False


def stopping(record: Record) -> str:
    if record.phase == "stopping":
        return "it is stopping"
    return "./dev down stops it" if record.port == DEFAULT_PORT else f"./dev down --port {record.port} stops it"


def state_of(program: Mapping[str, Any], nodes: Mapping[int, Mapping[str, Any]] | None) -> str:
    """Describe the state of a process, and of a node also its state in the API (`nodes`, None without an answer)."""
    process = "running" if program["pid"] and is_running(program["pid"]) else "not running"
    if "data" not in program or nodes is None:
        return process
    node_id = registry.id_of(Path(program["data"]))
    return f"{process}, {node_state(node_id, nodes) if node_id else 'waits to be enrolled'}"


def node_state(node_id: int, nodes: Mapping[int, Mapping[str, Any]]) -> str:
    node = nodes.get(node_id)
    if node is None:
        return f"node {node_id}: removed"
    return f"node {node_id}: {node['status']['state']}, {node['state']}"


def nodes_by_id(record: Record) -> dict[int, dict[str, Any]] | None:
    """Read the nodes from the API; None when it does not answer."""
    found: dict[int, dict[str, Any]] = {}
    after = ""
    try:
        while True:
            page = ask(f"{record.api}/nodes?limit=1000{after}")
            found |= {node["id"]: node for node in page["items"]}
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"
    except (OSError, ValueError, KeyError):
        return None


def ask(url: str) -> dict[str, Any]:
    """Get JSON from the API, without the proxies of the environment, with its API_TOKEN. Raises OSError, ValueError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    token = os.environ.get("API_TOKEN")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with opener.open(request, timeout=ANSWER_S) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
