"""Enrols every node container that waits, whenever it comes, and tells the master the address of one that came back
with another.

NODE_SLOTS is the folder in which each container has a slot (docker/node-entry.sh), MASTER_URL the API. Runs until it is
stopped. Standard library only.
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
from ipaddress import IPv6Address
from pathlib import Path
from types import FrameType
from typing import Any

PAUSE_S = 1.0
AGAIN_S = 5.0
"""Until what failed is tried again, and until a node that was enrolled should have logged in to the broker."""
COUNT_S = 15.0
SAID_AGAIN_S = 600.0
LOOKED = Path("/tmp/looked")  # noqa: S108 (of the container alone)
"""Touched after each look, for the container's health."""
ASIDE = IPv6Address("2001:db8::")


class Refused(Exception):
    """The master's answer was an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Slot:
    """One node's data. `is_held`: a container runs it now."""

    path: Path
    is_held: bool

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def waiting(self) -> dict[str, Any] | None:
        """Port and challenge of a node that waits. What a container that is gone has left is not looked at."""
        return read_json(self.path / "challenge.json") if self.is_held else None

    @property
    def node_id(self) -> int | None:
        return (read_json(self.path / "identity.json") or {}).get("config", {}).get("node_id")

    @property
    def enrolled_at(self) -> float:
        path = self.path / "identity.json"
        return path.stat().st_mtime if path.exists() else 0.0

    @property
    def address(self) -> str:
        return (self.path / "address").read_text().strip()

    @property
    def told(self) -> str | None:
        """The address that the master was told last. It is the operator's to change it there to another one."""
        path = self.path / "told"
        return path.read_text().strip() if path.exists() else None

    def tell(self, address: str) -> None:
        (self.path / "told").write_text(f"{address}\n")

    @property
    def is_removed(self) -> bool:
        return (self.path / "removed").exists()

    def mark(self, *, removed: bool) -> None:
        """The next container that takes a removed slot begins anew."""
        if removed:
            (self.path / "removed").touch()
        else:
            (self.path / "removed").unlink(missing_ok=True)


@dataclass
class Enroller:
    """Looks at all slots, again and again. The same trouble is said every ten minutes."""

    folder: Path
    master: str
    not_before: dict[str, float] = field(default_factory=dict[str, float])
    said: dict[str, float] = field(default_factory=dict[str, float])
    next_count: float = 0.0

    def look(self) -> None:
        with lock(self.folder / "lock"):
            slots = [slot_at(path) for path in sorted(self.folder.glob("[0-9]*"))]
        troubles = [*self.enrol_waiting(slots), *self.follow(slots)]
        now = time.monotonic()
        for trouble in troubles:
            if now >= self.said.get(trouble, now):
                print(trouble, flush=True)
                self.said[trouble] = now + SAID_AGAIN_S

    def enrol_waiting(self, slots: list[Slot]) -> Iterator[str]:
        """Answers what went wrong."""
        for slot in slots:
            waiting = slot.waiting
            if waiting is None or time.monotonic() < self.not_before.get(waiting["challenge"], 0.0):
                continue
            self.not_before[waiting["challenge"]] = time.monotonic() + AGAIN_S
            try:
                node = self.enrol(slot, waiting)
                print(f"slot {slot.name}: node {node['id']} ({node['name']}) at {node['ip']} is enrolled", flush=True)
            except (Refused, OSError) as error:
                yield f"slot {slot.name} waits to be enrolled: {error}"

    def enrol(self, slot: Slot, waiting: dict[str, Any]) -> dict[str, Any]:
        """The same challenge again answers the same node. Raises Refused, OSError."""
        address = slot.address
        body = {
            "ip": address,
            "port": waiting["port"],
            "challenge": waiting["challenge"],
            "labels": {"slot": slot.name},
        }
        node = self.ask("POST", "/nodes", body)
        slot.tell(address)
        return node

    def follow(self, slots: list[Slot]) -> Iterator[str]:
        """Tell the master where containers are that came back with other addresses. Answers what went wrong."""
        members = enrolled(slots)
        moved = [slot for slot in members if slot.is_held and slot.told != slot.address]
        try:
            self.mark_removed(slots, members)
            for slot in in_the_way(members, {slot.address for slot in moved}):
                self.move(slot, str(ASIDE + (slot.node_id or 0)))
        except (Refused, OSError) as error:
            yield f"the nodes could not be compared with the master's: {error}"
        for slot in moved:
            try:
                self.move(slot, slot.address)
                print(f"slot {slot.name}: node {slot.node_id} is at {slot.address}", flush=True)
            except (Refused, OSError) as error:
                yield f"slot {slot.name}: the address {slot.address} of node {slot.node_id} could not be told: {error}"
        for slot in slots:
            if slot.is_held and slot.is_removed:
                yield (
                    f"slot {slot.name}: node {slot.node_id} is not this container's any more; when the container is "
                    "restarted, it waits to be enrolled as a new node"
                )

    def mark_removed(self, slots: list[Slot], members: list[Slot]) -> None:
        """Mark the slots of nodes that the master no longer knows, or that another slot has replaced."""
        if time.monotonic() < self.next_count:
            return
        known = self.every_id()
        for slot in slots:
            if slot.node_id and slot.waiting is None:
                slot.mark(removed=slot not in members or slot.node_id not in known)
        self.next_count = time.monotonic() + COUNT_S

    def every_id(self) -> set[int]:
        """The master's nodes, page by page. Raises Refused, OSError."""
        found: set[int] = set()
        after = ""
        while True:
            page = self.ask("GET", f"/nodes?limit=1000{after}")
            found |= {node["id"] for node in page["items"]}
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def move(self, slot: Slot, address: str) -> None:
        self.ask("PATCH", f"/nodes/{slot.node_id}", {"ip": address})
        slot.tell(address)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer's JSON. Raises Refused with the master's words, OSError when it does not answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.master + path, data, headers, method=method)  # noqa: S310 (the operator's)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = f"{method} {path}: {error.code} {error.read(500).decode(errors='replace')}"
            raise Refused(error.code, text) from error


def enrolled(slots: list[Slot]) -> list[Slot]:
    """Those with an identity whose challenge is spent; of several with the same one the last."""
    found: dict[int, Slot] = {}
    for slot in slots:
        id_ = slot.node_id
        if id_ and slot.waiting is None and (id_ not in found or slot.enrolled_at > found[id_].enrolled_at):
            found[id_] = slot
    return list(found.values())


def in_the_way(members: list[Slot], addresses: set[str]) -> list[Slot]:
    """Nodes that the master knows by an address which is another container's now: they have changed places, or
    theirs is gone. The master refuses an address whose ports are another node's, so these go first, into the range that
    is reserved for examples (RFC 3849)."""
    return [slot for slot in members if slot.told in addresses and not (slot.is_held and slot.told == slot.address)]


def slot_at(path: Path) -> Slot:
    """With the word whether a container holds its lock at this moment."""
    with (path / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Slot(path, is_held=True)
    return Slot(path, is_held=False)


@contextmanager
def lock(path: Path) -> Generator[None]:
    """Containers that look for a slot meanwhile wait: to them a lock that is only being looked at would be taken."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_json(path: Path) -> dict[str, Any] | None:
    """None when it is not there."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    enroller = Enroller(Path(os.environ["NODE_SLOTS"]), os.environ["MASTER_URL"])
    while True:
        enroller.look()
        LOOKED.touch()
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
