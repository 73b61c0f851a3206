"""The clusters of this folder, each written down by its `./dev up` for `./dev status`, `./dev down` and the next `up`.

Standard library only: a cluster can be looked at and ended whatever state the environment is in.
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
"""In the data of a node that is enrolled (node/settings.py)."""
Phase = Literal["starting", "up", "stopping"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One cluster. `launcher` runs it and `keeper` (tests/leash.py) clears up after it; `run` is their folder."""

    port: int
    phase: Phase
    launcher: Birth
    keeper: Birth
    front: int
    """Of the leash: what the person's shell has started."""
    run: str
    folder: str
    """Of the data and the logs: `run`, or the one that was given to --keep."""
    kept: bool
    log: str | None = None
    """Of a launcher in the background."""
    state: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """What `./dev status --json` shows."""
    processes: tuple[Birth, ...] = ()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self.launcher.is_alive or self.keeper.is_alive

    @property
    def left(self) -> list[int]:
        """Process ids that a killed launcher and keeper have left."""
        if self.runs:
            return []
        alive = [birth.pid for birth in self.processes if birth.is_alive]
        return list(dict.fromkeys([*alive, *(below for pid in alive for below in descendants(pid))]))


def write(record: Record) -> None:
    """Replace what was written down of this cluster; for the owner's eyes, since it holds passwords."""
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
    """What a launcher in the background says."""
    return FOLDER / f"up-{port}.log"


def logs_of(port: int) -> Path:
    """Where a cluster that failed leaves the logs of its programs."""
    return FOLDER / f"logs-{port}"


def read_all(port: int | None = None) -> list[Record]:
    """Every cluster that is written down, the last one first; with a port that one only."""
    paths = FOLDER.glob("up-*.json") if port is None else [path for path in [file_of(port)] if path.exists()]
    by_age = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    return [record for path in by_age if (record := read(path))]


def read(path: Path) -> Record | None:
    """None, and a word about it, when it is none of ours."""
    try:
        written = json.loads(path.read_text())
        births = {name: Birth(**written[name]) for name in ("launcher", "keeper")}
        processes = tuple(Birth(**each) for each in written["processes"])
        return Record(**{**written, **births, "processes": processes})
    except FileNotFoundError:
        return None
    except PermissionError:
        print(f"{path} is another user's: a cluster that this user can neither see nor end", file=sys.stderr)
        return None
    except (ValueError, KeyError, TypeError) as error:
        print(f"{path} cannot be read ({error!r}): remove it", file=sys.stderr)
        return None


def id_of(data: Path) -> int | None:
    """Who the node with this data is; None as long as it is not enrolled."""
    try:
        return json.loads((data / IDENTITY).read_text())["config"]["node_id"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def named(pids: list[int]) -> str:
    """Names and ids, the first few of them."""
    shown = ", ".join(f"{name_of(pid)} {pid}" for pid in pids[:4])
    return f"{shown} and {len(pids) - 4} more" if len(pids) > 4 else shown
