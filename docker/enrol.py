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
from pathlib import Path

LIMIT_S = 45.0
PAUSE_S = 0.5
CHALLENGE_TTL_S = 30 * 60
LABEL = "container"


class Refused(Exception):
    """The master's answer was an error."""


def main() -> int:
    """Exit codes: 0 every node is enrolled, 1 some are not."""
    folder, master = Path(os.environ["CHALLENGE_DIR"]), os.environ["MASTER_URL"]
    deadline = time.monotonic() + LIMIT_S
    reasons: dict[str, str] = {}
    while waiting := fresh_challenges(folder):
        for path in waiting:
            try:
                node = enrol(master, path)
            except (Refused, OSError) as error:
                reasons[path.stem] = str(error)
                continue
            print(f"node {node['id']} ({node['name']}) at {node['ip']} is enrolled", flush=True)
        if time.monotonic() > deadline:
            break
        time.sleep(PAUSE_S)  # a node removes its challenge once it has logged in to the broker
    for path in waiting:
        print(f"{path.stem} still waits: {reasons.get(path.stem, 'not at the broker yet')}", file=sys.stderr)
    follow_addresses(master, folder)
    return 1 if waiting else 0


def fresh_challenges(folder: Path) -> list[Path]:
    """Of nodes that wait. One that is older than a challenge lives was left by a node that is gone."""
    found = []
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


def enrol(master: str, path: Path) -> dict[str, object]:
    """The same challenge again answers the same node. Raises Refused, OSError."""
    waiting = json.loads(path.read_text())
    body = {
        "ip": path.with_suffix(".address").read_text().strip(),
        "port": waiting["port"],
        "challenge": waiting["challenge"],
        "labels": {LABEL: path.stem},
    }
    return ask(master, "POST", "/nodes", body)


def follow_addresses(master: str, folder: Path) -> None:
    """Containers may come back with other addresses. Raises Refused, OSError."""
    after = 0
    while after is not None:
        page = ask(
            master, "GET", "/nodes?" + urllib.parse.urlencode({"limit": 1000, **({"after": after} if after else {})})
        )
        for node in page["items"]:
            path = folder / f"{node['labels'].get(LABEL)}.address"
            address = path.read_text().strip() if path.exists() else node["ip"]
            if address != node["ip"]:
                ask(master, "PATCH", f"/nodes/{node['id']}", {"ip": address})
                print(f"node {node['id']} has moved from {node['ip']} to {address}", flush=True)
        after = page["next"]


def ask(master: str, method: str, path: str, body: object = None) -> dict[str, object]:
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
