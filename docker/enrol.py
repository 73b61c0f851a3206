"""Enrols the node containers that wait, and reports to the master the addresses that containers have now.

NODE_SLOTS is the folder in which each container has a slot (docker/node-entry.sh), MASTER_URL the API. Runs until it is
stopped, with the standard library alone.
"""

import fcntl
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from ipaddress import IPv6Address
from pathlib import Path
from types import FrameType
from typing import Any

PAUSE_S = 1.0
RETRY_S = 5.0
"""Until a failed enrolment is tried again."""
LOGIN_S = 60.0
"""Until a node that has its configuration is enrolled again, if it has not logged in to the broker by then. A repeated
enrolment gives the node another login: soon after the first one it would overtake it."""
COMPARE_S = 15.0
"""Between two comparisons of the slots with the master's nodes."""
REPEAT_S = 600.0
"""Until the same problem is printed again."""
LAST_ROUND = Path("/tmp/last-round")  # noqa: S108 (of the container alone)
"""Touched after each round, for the health check of the container."""
SPARE_ADDRESSES = IPv6Address("2001:db8::")
"""The range for documentation (RFC 3849)."""


class RequestFailed(Exception):
    """The master refused the request or sent no readable answer."""


@dataclass(frozen=True)
class Slot:
    """The data of one node. `is_taken`: a container runs this node now."""

    path: Path
    is_taken: bool

    @property
    def name(self) -> str:
        """The number of the slot."""
        return self.path.name

    @property
    def waiting(self) -> dict[str, Any] | None:
        """The port and challenge of a node that waits. A container that ended may have left old ones."""
        return read_json(self.path / "challenge.json") if self.is_taken else None

    @property
    def node_id(self) -> int | None:
        """The id of an enrolled node."""
        return (read_json(self.path / "identity.json") or {}).get("config", {}).get("node_id")

    @property
    def enrolled_at(self) -> float:
        """The time of the enrolment, 0 if there was none."""
        path = self.path / "identity.json"
        return path.stat().st_mtime if path.exists() else 0.0

    @property
    def address(self) -> str:
        """The address of the container."""
        return (self.path / "address").read_text().strip()

    @property
    def reported(self) -> str | None:
        """The address that was reported to the master last. An operator may have changed it there since."""
        path = self.path / "reported"
        return path.read_text().strip() if path.exists() else None

    def remember_report(self, address: str) -> None:
        """Keep the address that the master has."""
        (self.path / "reported").write_text(f"{address}\n")

    @property
    def is_removed(self) -> bool:
        """Whether the node was removed from the master."""
        return (self.path / "removed").exists()

    def mark(self, *, removed: bool) -> None:
        """Have the next container of this slot start as a new node, or keep the node."""
        if removed:
            (self.path / "removed").touch()
        else:
            (self.path / "removed").unlink(missing_ok=True)


@dataclass
class Enroller:
    """Compares all slots with the master, round by round."""

    folder: Path
    master: str
    retry_at: dict[str, float] = field(default_factory=dict[str, float])
    repeat_at: dict[str, float] = field(default_factory=dict[str, float])
    compare_at: float = 0.0

    def run_once(self) -> None:
        """Enrol, report and compare. Prints each problem, but the same one not before REPEAT_S have passed."""
        with locked(self.folder / "lock"):
            slots = [slot_at(path) for path in sorted(self.folder.glob("[0-9]*"))]
        now = time.monotonic()
        for problem in [*self.enrol_waiting(slots), *self.report_addresses(slots)]:
            if now >= self.repeat_at.get(problem, now):
                print(problem, flush=True)
                self.repeat_at[problem] = now + REPEAT_S

    def enrol_waiting(self, slots: list[Slot]) -> Iterator[str]:
        """Enrol every node that waits. Yields problems."""
        for slot in slots:
            waiting = slot.waiting
            if waiting is None or time.monotonic() < self.retry_at.get(waiting["challenge"], 0.0):
                continue
            self.retry_at[waiting["challenge"]] = time.monotonic() + RETRY_S
            try:
                node = self.enrol(slot, waiting)
                self.retry_at[waiting["challenge"]] = time.monotonic() + LOGIN_S
                print(f"slot {slot.name}: node {node['id']} ({node['name']}) at {node['ip']} is enrolled", flush=True)
            except (RequestFailed, OSError) as error:
                yield f"slot {slot.name} waits to be enrolled: {error}"

    def enrol(self, slot: Slot, waiting: dict[str, Any]) -> dict[str, Any]:
        """Return the enrolled node: the same one for the same challenge. Raises RequestFailed, OSError."""
        address = slot.address
        body = {
            "ip": address,
            "port": waiting["port"],
            "challenge": waiting["challenge"],
            "labels": {"slot": slot.name},
        }
        node = self.request("POST", "/nodes", body)
        slot.remember_report(address)
        return node

    def report_addresses(self, slots: list[Slot]) -> Iterator[str]:
        """Report the addresses that have changed, and mark the slots of removed nodes. Yields problems."""
        members = enrolled(slots)
        moved = [slot for slot in members if slot.is_taken and not slot.is_removed and slot.reported != slot.address]
        reports = {slot: str(SPARE_ADDRESSES + (slot.node_id or 0)) for slot in holding(members, moved)}
        try:
            self.mark_removed(slots, members)
        except (RequestFailed, OSError) as error:
            yield f"the nodes could not be compared with the master's: {error}"
        for slot, address in [*reports.items(), *((slot, slot.address) for slot in moved)]:
            try:
                self.report(slot, address)
                print(f"slot {slot.name}: the address of node {slot.node_id} is {address}", flush=True)
            except (RequestFailed, OSError) as error:
                yield f"slot {slot.name}: the address {address} of node {slot.node_id} was not accepted: {error}"
        for slot in slots:
            if slot.is_taken and slot.is_removed:
                yield f"slot {slot.name}: node {slot.node_id} was removed; restart its container to enrol a new node"

    def mark_removed(self, slots: list[Slot], members: list[Slot]) -> None:
        """Mark the slots of nodes that the master does not know, or that another slot has replaced."""
        if time.monotonic() < self.compare_at:
            return
        known = self.known_ids()
        for slot in slots:
            if slot.node_id and slot.waiting is None:
                slot.mark(removed=slot not in members or slot.node_id not in known)
        self.compare_at = time.monotonic() + COMPARE_S

    def known_ids(self) -> set[int]:
        """Return the ids of the master's nodes, read page by page. Raises RequestFailed, OSError."""
        found: set[int] = set()
        after = ""
        while True:
            page = self.request("GET", f"/nodes?limit=1000{after}")
            found |= {node["id"] for node in page["items"]}
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def report(self, slot: Slot, address: str) -> None:
        """Report the address of a node. Raises RequestFailed, OSError."""
        self.request("PATCH", f"/nodes/{slot.node_id}", {"ip": address})
        slot.remember_report(address)

    def request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the JSON of the answer. Raises RequestFailed, or OSError without an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.master + path, data, headers, method=method)  # noqa: S310 (the operator's)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read(500).decode(errors="replace")
            raise RequestFailed(f"{method} {path}: {error.code} {text}") from error
        except (HTTPException, ValueError) as error:
            raise RequestFailed(f"{method} {path}: no readable answer: {error!r}") from error


def enrolled(slots: list[Slot]) -> list[Slot]:
    """Return the slots of enrolled nodes: of several slots with the same node the last one."""
    found: dict[int, Slot] = {}
    for slot in slots:
        id_ = slot.node_id
        if id_ and slot.waiting is None and (id_ not in found or slot.enrolled_at > found[id_].enrolled_at):
            found[id_] = slot
    return list(found.values())


def holding(members: list[Slot], moved: list[Slot]) -> list[Slot]:
    """Return the slots that the master still has at addresses which now belong to slots that have moved.

    The master refuses an address at which another node has the same ports, so these nodes get spare addresses first.
    """
    wanted = {slot.address for slot in moved}
    present = [slot for slot in members if not slot.is_removed]
    return [slot for slot in present if slot.reported in wanted and (slot in moved or not slot.is_taken)]


def slot_at(path: Path) -> Slot:
    """Read whether a container holds the lock of the slot now."""
    with (path / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Slot(path, is_taken=True)
    return Slot(path, is_taken=False)


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Keep containers from choosing slots, since a slot whose lock is tried here would look taken to them."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a file, None if the file does not exist."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def stop(_number: int, _frame: FrameType | None) -> None:
    """End the program."""
    sys.exit(0)


def main() -> None:
    """Run until SIGTERM."""
    signal.signal(signal.SIGTERM, stop)
    enroller = Enroller(Path(os.environ["NODE_SLOTS"]), os.environ["MASTER_URL"])
    while True:
        enroller.run_once()
        LAST_ROUND.touch()
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
