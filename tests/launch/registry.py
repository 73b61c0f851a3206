"""Registry of the clusters of this folder, each recorded by its `./dev up` for `./dev status`, `node`, `down` and `up`.

Imports the standard library alone, so that a cluster can be inspected and ended without a working environment.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.services.processes import Birth, descendants, name_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".dev"
DEFAULT_PORT = 3005
IDENTITY = "identity.json"
"""File in the data of an enrolled node (see node/settings.py)."""
Phase = Literal["starting", "up", "stopping"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One cluster. `launcher` runs it, `keeper` (tests/services/leash.py) clears up after it; `run` is their folder."""

    port: int
    phase: Phase
    launcher: Birth
    keeper: Birth
    front: int
    """Process id of the leash, which the person's shell started."""
    run: str
    folder: str
    """Folder of the data and the logs: `run`, or that of --keep."""
    kept: bool
    log: str | None = None
    """Log file of a launcher in the background."""
    state: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Details for `./dev status --json`."""
    processes: tuple[Birth, ...] = ()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self.launcher.is_alive or self.keeper.is_alive

    @property
    def left(self) -> list[int]:
        """Processes that a killed launcher and keeper left behind."""
        if self.runs:
            return []
        alive = [birth.pid for birth in self.processes if birth.is_alive]
        return list(dict.fromkeys([*alive, *(below for pid in alive for below in descendants(pid))]))


def write(record: Record) -> None:
    """Replace the record of this cluster. Only its owner may read it, since it holds passwords."""
    FOLDER.mkdir(exist_ok=True)
    path = file_of(record.port)
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600)
    aside.write_text(json.dumps(asdict(record), indent=2))
    aside.replace(path)


def forget(port: int) -> None:
    file_of(port).unlink(missing_ok=True)


def file_of(port: int) -> Path:
    return FOLDER / f"up-{port}.json"


def log_of(port: int) -> Path:
    """Return the log file of a launcher in the background."""
    return FOLDER / f"up-{port}.log"


def logs_of(port: int) -> Path:
    """Return the folder for the logs of a cluster that failed."""
    return FOLDER / f"logs-{port}"


def read_all(port: int | None = None) -> list[Record]:
    """Read the records of all clusters, the latest first, or only that of one port."""
    paths = FOLDER.glob("up-*.json") if port is None else [path for path in [file_of(port)] if path.exists()]
    by_age = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    return [record for path in by_age if (record := read(path))]


def read(path: Path) -> Record | None:
    """Read a record; print why and return None if that is not possible."""
    try:
        written = json.loads(path.read_text())
        births = {name: Birth(**written[name]) for name in ("launcher", "keeper")}
        processes = tuple(Birth(**each) for each in written["processes"])
        return Record(**{**written, **births, "processes": processes})
    except FileNotFoundError:
        return None
    except PermissionError:
        print(f"{path} is of another user, whose cluster you can neither inspect nor end", file=sys.stderr)
        return None
    except (ValueError, KeyError, TypeError) as error:
        print(f"{path} cannot be read ({error!r}): delete it", file=sys.stderr)
        return None


def id_of(data: Path) -> int | None:
    """Return the id of the node with this data; None until it is enrolled."""
    try:
        return json.loads((data / IDENTITY).read_text())["config"]["node_id"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def named(pids: list[int]) -> str:
    """List the names and ids of the first few processes."""
    first = ", ".join(f"{name_of(pid)} {pid}" for pid in pids[:4])
    return f"{first} and {len(pids) - 4} more" if len(pids) > 4 else first
