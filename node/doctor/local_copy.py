"""Inspection of the local copy, also while the agent runs; it changes nothing."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from node.network.exit_requirements import ExitRequirement, source_of
from node.state.local_copy_file import DamagedCopy, is_damage, reading
from shared.doctor.findings import Finding, ok, problem, some, warning
from shared.proxies import EngineName, Exit

BUSY_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyInspection:
    """What an inspection found in the file.

    `ports` and `exits` are by proxy id: of all wanted proxies with a record, and of those of the built-in engine, which
    `builtin` counts. `refused` are ids whose record could not be read; `required` are the exits of all records.
    """

    state: Literal["none", "whole", "broken", "closed", "out of reach"]
    reason: str = ""
    owner: str = ""
    rev: int = 0
    wanted: int = 0
    refused: tuple[int, ...] = ()
    ports: Mapping[int, int] = field(default_factory=dict[int, int])
    builtin: int = 0
    exits: Mapping[int, Exit] = field(default_factory=dict[int, Exit])
    required: tuple[ExitRequirement, ...] = ()

    @property
    def exit_keys(self) -> list[tuple[str, str]]:
        """(prefix, key) of every exit with random addresses; keys are secret."""
        return [(each.prefix, each.key) for each in self.exits.values() if each.prefix and each.key]


def inspect_copy(path: Path, *, live: bool) -> CopyInspection:
    """Inspect the file read-only; `live` is whether the agent runs.

    A write-ahead log means that the agent runs or was killed; then SQLite must use its locks. Without a log the file is
    complete, and opening it as immutable keeps SQLite from creating files beside it.
    """
    try:
        log = Path(f"{path}-wal")
        immutable = not live and not (log.exists() and log.stat().st_size)
        if not path.exists():
            return CopyInspection(state="none")
        path.open("rb").close()
        address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as db:
            return read_copy(db)
    except PermissionError:
        return CopyInspection(state="closed", reason="this user may not read it")
    except OSError as error:
        return CopyInspection(state="out of reach", reason=error.strerror or type(error).__name__)
    except sqlite3.Error as error:
        return CopyInspection(state="broken", reason=str(error)) if is_broken(error) else inspect_image(path)
    except (DamagedCopy, ValueError, KeyError, TypeError) as error:
        return CopyInspection(state="broken", reason=str(error))


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, or of another program."""
    return is_damage(error) or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR


def inspect_image(path: Path) -> CopyInspection:
    """Inspect the file without SQLite's locks, which a full or read-only disk refuses."""
    try:
        with reading(path, None) as db:
            return read_copy(db)
    except (OSError, sqlite3.Error) as error:
        return CopyInspection(state="out of reach", reason=str(error))
    except (DamagedCopy, ValueError, KeyError, TypeError) as error:
        return CopyInspection(state="broken", reason=str(error))


def read_copy(db: sqlite3.Connection) -> CopyInspection:
    """Read a whole copy. Raises sqlite3.Error, DamagedCopy, ValueError, KeyError or TypeError for any other file."""
    (verdict,) = db.execute("PRAGMA quick_check").fetchone()
    if verdict != "ok":
        raise DamagedCopy(str(verdict))
    owner, rev = db.execute("SELECT owner, rev FROM heads").fetchone()
    (wanted,) = db.execute("SELECT count(*) FROM wanted").fetchone()
    rows = db.execute("SELECT p.id, p.record, p.refusal FROM proxies p JOIN wanted w ON w.id = p.id").fetchall()
    records = {id_: json.loads(record) for id_, record, _ in rows if record}
    return CopyInspection(
        state="whole",
        owner=owner,
        rev=rev,
        wanted=wanted,
        refused=tuple(id_ for id_, _, refusal in rows if refusal),
        ports={id_: record["port"] for id_, record in records.items()},
        builtin=sum(engine_of(record) == "builtin" for record in records.values()),
        exits={
            id_: Exit.model_validate(record.get("exit", {}))
            for id_, record in records.items()
            if engine_of(record) == "builtin"
        },
        required=tuple(requirements_in(records.values())),
    )


def requirements_in(records: Iterable[Mapping[str, Any]]) -> Iterator[ExitRequirement]:
    """Yield the requirement of each record whose exit has an address or a prefix."""
    for record in records:
        source = source_of(Exit.model_validate(record.get("exit", {})))
        if source is not None:
            yield ExitRequirement(source, engine_of(record))


def engine_of(record: Mapping[str, Any]) -> EngineName:
    """Return the engine of a stored record, which leaves out defaults."""
    return record.get("engine", "builtin")


def copy_finding(copy: CopyInspection, owner: str | None) -> Finding:
    """Judge the local copy; `owner` is whose copy it should be, None before the node is enrolled."""
    match copy.state:
        case "none":
            return ok("local copy", "none yet")
        case "closed":
            return problem("local copy", copy.reason, "run the doctor as the agent's user")
        case "out of reach":
            text = f"cannot be read now: {copy.reason}"
            return problem("local copy", text, "check the disk; the agent reads the file as soon as it can")
        case "broken":
            advice = "check the disk; when the agent starts, it puts the file aside and the master sends all records"
            return problem("local copy", f"cannot be read: {copy.reason}", advice)
        case "whole":
            return whole_finding(copy, owner)


def whole_finding(copy: CopyInspection, owner: str | None) -> Finding:
    """Judge a copy that can be read."""
    if owner and copy.owner and copy.owner != owner:
        text = "belongs to another node or cluster than the identity"
        advice = "the agent drops it when it starts; check whether the data directory was mixed from two nodes"
        return warning("local copy", text, advice)
    if copy.refused:
        text = f"{len(copy.refused)} of {copy.wanted} records could not be read by this node: {some(copy.refused)}"
        return warning("local copy", text, "upgrade the node; see the reasons: GET /proxies/ID at the master")
    return ok("local copy", f"whole: revision {copy.rev}, {copy.wanted} proxies wanted, {len(copy.ports)} records")
