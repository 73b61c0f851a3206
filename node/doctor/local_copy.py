"""Reads the local copy beside a running agent, or in its absence, without leaving a trace."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from node.network.exit_requirements import Need, place_of
from node.state.local_copy_file import Damaged, is_damage, reading
from shared.doctor.findings import Finding, ok, problem, some, warning
from shared.proxies import Exit

BUSY_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyLook:
    """`ports` by id of the wanted proxies whose record is here; `refused` are those that could not be applied,
    `builtin` counts the records of that engine, `exits` are theirs by id; `needs` are of every record."""

    state: Literal["none", "whole", "broken", "closed", "out of reach"]
    reason: str = ""
    owner: str = ""
    rev: int = 0
    wanted: int = 0
    refused: tuple[int, ...] = ()
    ports: Mapping[int, int] = field(default_factory=dict[int, int])
    builtin: int = 0
    exits: Mapping[int, Exit] = field(default_factory=dict[int, Exit])
    needs: tuple[Need, ...] = ()

    @property
    def exit_keys(self) -> list[tuple[str, str]]:
        """(prefix, key) of every exit that draws random addresses; a secret."""
        return [(each.prefix, each.key) for each in self.exits.values() if each.prefix and each.key]


def look_at_copy(path: Path, *, live: bool) -> CopyLook:
    """Read it with no right to write.

    A write-ahead log means that the agent runs or was killed: then SQLite must take part in its locks. Without one the
    file alone is the whole truth, and taking it as immutable keeps SQLite from making files beside it.
    """
    try:
        log = Path(f"{path}-wal")
        asleep = not live and not (log.exists() and log.stat().st_size)
        if not path.exists():
            return CopyLook(state="none")
        path.open("rb").close()
        address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if asleep else ''}"
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as db:
            return read_copy(db)
    except PermissionError:
        return CopyLook(state="closed", reason="this user may not read it")
    except OSError as error:
        return CopyLook(state="out of reach", reason=error.strerror or type(error).__name__)
    except sqlite3.Error as error:
        return CopyLook(state="broken", reason=str(error)) if is_broken(error) else look_at_image(path)
    except (Damaged, ValueError, KeyError, TypeError) as error:
        return CopyLook(state="broken", reason=str(error))


def is_broken(error: sqlite3.Error) -> bool:
    """Damaged, or of another program."""
    return is_damage(error) or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR


def look_at_image(path: Path) -> CopyLook:
    """Without SQLite's locks, which a full or read-only disk refuses."""
    try:
        with reading(path, None) as db:
            return read_copy(db)
    except (OSError, sqlite3.Error) as error:
        return CopyLook(state="out of reach", reason=str(error))
    except (Damaged, ValueError, KeyError, TypeError) as error:
        return CopyLook(state="broken", reason=str(error))


def read_copy(db: sqlite3.Connection) -> CopyLook:
    """Raises sqlite3.Error, Damaged, ValueError, KeyError, TypeError when it is not a whole copy."""
    (verdict,) = db.execute("PRAGMA quick_check").fetchone()
    if verdict != "ok":
        raise Damaged(str(verdict))
    owner, rev = db.execute("SELECT owner, rev FROM heads").fetchone()
    (wanted,) = db.execute("SELECT count(*) FROM wanted").fetchone()
    rows = db.execute("SELECT h.id, h.record, h.refusal FROM holdings h JOIN wanted w ON w.id = h.id").fetchall()
    records = {id_: json.loads(record) for id_, record, _ in rows if record}
    return CopyLook(
        state="whole",
        owner=owner,
        rev=rev,
        wanted=wanted,
        refused=tuple(id_ for id_, _, refusal in rows if refusal),
        ports={id_: record["port"] for id_, record in records.items()},
        builtin=sum(record["engine"] == "builtin" for record in records.values()),
        exits={
            id_: Exit.model_validate(record.get("exit", {}))
            for id_, record in records.items()
            if record["engine"] == "builtin"
        },
        needs=tuple(needs_in(records.values())),
    )


def needs_in(records: Iterable[Mapping[str, Any]]) -> Iterator[Need]:
    """Once for each record whose exit needs an address or a prefix."""
    for record in records:
        place = place_of(Exit.model_validate(record.get("exit", {})))
        if place is not None:
            yield Need(place, record["engine"])


def copy_finding(copy: CopyLook, owner: str | None) -> Finding:
    """`owner`: whose copy it should be, None before the node is enrolled."""
    again = "the agent puts it aside when it starts and the master sends everything again; is the disk sound"
    match copy.state:
        case "none":
            return ok("local copy", "none yet")
        case "closed":
            return problem("local copy", copy.reason, "run this as the agent's user")
        case "out of reach":
            text = f"cannot be read now: {copy.reason}"
            return problem("local copy", text, "the agent keeps it and reads it when it can; is the disk sound")
        case "broken":
            return problem("local copy", f"cannot be read: {copy.reason}", again)
        case "whole":
            return whole_finding(copy, owner)


def whole_finding(copy: CopyLook, owner: str | None) -> Finding:
    """Of a copy that can be read."""
    if owner and copy.owner and copy.owner != owner:
        text = "is of another node or cluster than the identity"
        return warning("local copy", text, "the agent forgets it when it starts; was the data directory put together")
    if copy.refused:
        text = f"{len(copy.refused)} of {copy.wanted} proxies could not be applied: {some(copy.refused)}"
        return warning("local copy", text, "the reasons: GET /proxies/ID at the master")
    return ok("local copy", f"whole: revision {copy.rev}, {copy.wanted} proxies wanted, {len(copy.ports)} records")
