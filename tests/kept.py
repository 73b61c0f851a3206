"""What `./dev up --keep DIR` must know of the last time: ports and nodes, since nodes remember addresses."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.services import ProgramError, Source
from tests.services.folders import Folder, kept


@dataclass
class Memory:
    """First port of the services' block, and each node's id and first port, in order. Without a path it forgets."""

    path: Path | None = None
    source: Source | None = None
    ports: int | None = None
    nodes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def write(self) -> None:
        if self.path is None:
            return
        aside = self.path.with_suffix(".new")
        aside.write_text(json.dumps({"source": self.source, "ports": self.ports, "nodes": self.nodes}))
        aside.replace(self.path)


@contextmanager
def opened(path: Path, source: Source) -> Iterator[tuple[Folder, Memory]]:
    """The folder for one launcher at a time. Raises ProgramError."""
    folder = kept(path)
    with (folder.path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProgramError(f"another ./dev up works in {folder.path}") from error
        yield folder, read(folder.path / "cluster.json", source)


def read(path: Path, source: Source) -> Memory:
    """Raises ProgramError when the data was made by the other kind of services."""
    if not path.exists():
        return Memory(path, source)
    written = json.loads(path.read_text())
    if written["source"] != source:
        raise ProgramError(
            f"the data in {path.parent} was made with services from {written['source']}, now they come from {source}; "
            f"set MAYBE_TEST_SERVICES={written['source']} or keep the data elsewhere"
        )
    return Memory(path, source, written["ports"], [(id_, first) for id_, first in written["nodes"]])
