"""Memory of `./dev up --keep DIR` between starts: the ports, since nodes store addresses, and the nodes."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.launch.registry import IDENTITY, id_of
from tests.services.folders import Folder, kept
from tests.services.programs import ProgramError
from tests.services.sources import Source


@dataclass
class Memory:
    """First port of the services' block, our location, and the first port of each node's block by the node's number.

    Without a path nothing is stored.
    """

    path: Path | None = None
    source: Source | None = None
    ports: int | None = None
    location_id: int | None = None
    nodes: dict[int, int] = field(default_factory=dict[int, int])
    demo: bool = False
    """Whether the cluster has the demo fleet."""

    def write(self) -> None:
        if self.path is None:
            return
        written = {
            "source": self.source,
            "ports": self.ports,
            "location_id": self.location_id,
            "nodes": self.nodes,
            "demo": self.demo,
        }
        aside = self.path.with_suffix(".new")
        aside.write_text(json.dumps(written))
        aside.replace(self.path)


@contextmanager
def opened(path: Path, source: Source) -> Iterator[tuple[Folder, Memory]]:
    """Open the folder for one launcher at a time. Raises ProgramError."""
    folder = kept(path)
    with (folder.path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProgramError(
                f"another ./dev up uses {folder.path}: stop it first, or choose another folder"
            ) from error
        yield folder, read(folder.path / "cluster.json", source)


def read(path: Path, source: Source) -> Memory:
    """Read the memory. Raises ProgramError for data of another source of services, and for a file that is not ours."""
    try:
        written = json.loads(path.read_text())
        nodes = {int(number): int(first) for number, first in written["nodes"].items()}
        memory = Memory(
            path, written["source"], written["ports"], written["location_id"], nodes, written.get("demo", False)
        )
    except FileNotFoundError:
        return Memory(path, source)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProgramError(f"{path} cannot be read ({error!r}): choose another folder") from error
    if memory.source != source:
        raise ProgramError(
            f"the data in {path.parent} belongs to services from {memory.source}, but now they come from {source}: "
            f"set MAYBE_TEST_SERVICES={memory.source}, or choose another folder"
        )
    return memory


@dataclass(frozen=True)
class Slot:
    """A node of an earlier run: its number in the folder, its first port, and its id since when it was enrolled."""

    number: int
    ports: int
    id: int | None = None
    since: float = 0.0


def slots(folder: Folder, memory: Memory) -> list[Slot]:
    """List the nodes of earlier runs, with the ids in their data folders."""
    return [slot_of(folder.path / f"node-{number}", number, ports) for number, ports in sorted(memory.nodes.items())]


def slot_of(data: Path, number: int, ports: int) -> Slot:
    id_ = id_of(data)
    since = (data / IDENTITY).stat().st_mtime if id_ else 0.0
    return Slot(number, ports, id_, since)


def absent(slot: Slot, others: list[Slot], known: dict[int, dict[str, Any]]) -> str | None:
    """Return why the node does not come back; None if it does. `known` are the master's nodes by id."""
    if slot.id is None:
        return None
    if slot.id not in known:
        return f"node {slot.id} was removed through the API"
    later = [other for other in others if other.id == slot.id and other.since > slot.since]
    return f"node-{later[0].number} has replaced it as node {slot.id}" if later else None
