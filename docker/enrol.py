"""Enrols every node that waits, and tells the master the new address of a node that has moved. Then it ends.

Each node leaves "<key>.address" and, as long as it waits, "<key>.json" in CHALLENGE_DIR; MASTER_URL is the API. Running
it again changes nothing that is right already. Standard library only.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

LIMIT_S = 45.0
PAUSE_S = 0.5
CHALLENGE_TTL_S = 30 * 60
LABEL = "container"
ASIDE = IPv6Address("2001:db8::")


class Refused(Exception):
    """The master's answer was an error."""


def main() -> int:
    """Exit codes: 0 every node is enrolled and known by its address, 1 some are not."""
    folder, master = Path(os.environ["CHALLENGE_DIR"]), os.environ["MASTER_URL"]
    deadline = time.monotonic() + LIMIT_S
    told: set[str] = set()
    while undone := [*enrol_waiting(master, folder, told), *follow_addresses(master, folder)]:
        if time.monotonic() > deadline:
            print("\n".join(undone), file=sys.stderr)
            return 1
        time.sleep(PAUSE_S)
    return 0


def enrol_waiting(master: str, folder: Path, told: set[str]) -> list[str]:
    """One try for every waiting node. Answers who waits still and why: a node removes its challenge once it has logged
    in to the broker.
    """
    reasons: list[str] = []
    for path in fresh_challenges(folder):
        try:
            node = enrol(master, path)
            reasons.append(f"node {node['id']} at {node['ip']} is enrolled, but not at the broker yet")
            if path.stem not in told:
                print(f"node {node['id']} ({node['name']}) at {node['ip']} is enrolled", flush=True)
                told.add(path.stem)
        except (Refused, OSError) as error:
            reasons.append(f"{path.stem} still waits: {error}")
    return reasons


def fresh_challenges(folder: Path) -> list[Path]:
    """Of nodes that wait. One that is older than a challenge lives was left by a node that is gone."""
    found: list[Path] = []
    for path in sorted(folder.glob("*.json")):
        try:
            age_s = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if age_s > CHALLENGE_TTL_S:
            path.unlink(missing_ok=True)
        else:
            found.append(path)
    return found


def enrol(master: str, path: Path) -> dict[str, Any]:
    """The same challenge again answers the same node. Raises Refused, OSError."""
    waiting = json.loads(path.read_text())
    body = {
        "ip": path.with_suffix(".address").read_text().strip(),
        "port": waiting["port"],
        "challenge": waiting["challenge"],
        "labels": {LABEL: path.stem},
    }
    return ask(master, "POST", "/nodes", body)


def follow_addresses(master: str, folder: Path) -> list[str]:
    """Tell the master where containers are that came back with other addresses. Answers what went wrong."""
    try:
        nodes = every_node(master)
        moved = [(node, address) for node in nodes if (address := address_of(folder, node)) != node["ip"]]
        if {address for _, address in moved} & {node["ip"] for node in nodes}:
            # They have changed places, and the master refuses an address whose ports are another node's: all step
            # aside first, into the range that is reserved for examples (RFC 3849).
            for node, _ in moved:
                ask(master, "PATCH", f"/nodes/{node['id']}", {"ip": str(ASIDE + node["id"])})
        for node, address in moved:
            ask(master, "PATCH", f"/nodes/{node['id']}", {"ip": address})
            print(f"node {node['id']} has moved from {node['ip']} to {address}", flush=True)
    except (Refused, OSError) as error:
        return [f"the addresses of the nodes could not be compared: {error}"]
    return []


def address_of(folder: Path, node: dict[str, Any]) -> str:
    """What the node's container left, else what the master knows."""
    path = folder / f"{node['labels'].get(LABEL)}.address"
    return path.read_text().strip() if path.exists() else node["ip"]


def every_node(master: str) -> list[dict[str, Any]]:
    """Page by page. Raises Refused, OSError."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 1000}
    while True:
        page = ask(master, "GET", f"/nodes?{urllib.parse.urlencode(query)}")
        found += page["items"]
        if page["next"] is None:
            return found
        query["after"] = page["next"]


def ask(master: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """The answer's JSON. Raises Refused with the master's words, OSError when it does not answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(master + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 (MASTER_URL is the operator's)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(f"{method} {path}: {error.code} {error.read(500).decode(errors='replace')}") from error


if __name__ == "__main__":
    sys.exit(main())
