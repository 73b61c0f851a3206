"""File of the local copy: its schema, how it is opened and read, and when it counts as damaged."""

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import structlog

from node.state.sqlite_image import image_of

log = structlog.get_logger()

SCHEMA = """
PRAGMA cache_size=-256;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE IF NOT EXISTS heads (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    owner TEXT NOT NULL, rev INTEGER NOT NULL, seen INTEGER NOT NULL, top INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS proxies (
    id INTEGER PRIMARY KEY, version INTEGER NOT NULL, content INTEGER NOT NULL, rec_rev INTEGER NOT NULL,
    record TEXT, refusal TEXT NOT NULL, good TEXT
);
INSERT OR IGNORE INTO heads VALUES (1, '', 0, 0, 0);
CREATE TABLE IF NOT EXISTS places (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), ip TEXT NOT NULL);
INSERT OR IGNORE INTO places VALUES (1, '');
CREATE TABLE IF NOT EXISTS sessions (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO sessions VALUES (1, 0);
"""
READ_HEAD = "SELECT owner, rev, seen, top FROM heads"
READ_WANTED = "SELECT id, version FROM wanted"
READ_PROXIES = "SELECT id, version, content, rec_rev, record, refusal, good FROM proxies"
READ_IP = "SELECT ip FROM places"
READ_LAST_SESSION = "SELECT last FROM sessions"
TABLES = {
    "heads": ("only_one", "owner", "rev", "seen", "top"),
    "wanted": ("id", "version"),
    "proxies": ("id", "version", "content", "rec_rev", "record", "refusal", "good"),
    "places": ("only_one", "ip"),
    "sessions": ("only_one", "last"),
}
SIDECAR_SUFFIXES = ("-wal", "-shm")


class DamagedCopy(Exception):
    """The file is not a local copy, or not a whole one."""


def is_damage(error: Exception) -> bool:
    """Whether the file is damaged: SQLite calls it corrupt or no database, or it fails a check of ours.

    Other errors are of the disk or the process (full, I/O error, read-only, locked, out of descriptors) and may pass;
    the file may be whole.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return isinstance(error, DamagedCopy) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def opened(path: Path) -> sqlite3.Connection:
    """Open the file for writing; create it when there is none. Raises DamagedCopy, OSError, sqlite3.Error."""
    check_length(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        check_tables(db)
        db.executescript(SCHEMA)
        check(db)
    except BaseException:
        db.close()
        raise
    return db


def check_length(path: Path) -> None:
    """Refuse an empty file: SQLite would take it for a new one and delete its log. Raises DamagedCopy, OSError."""
    length = path.stat().st_size if path.exists() else 0
    if not length and (path.exists() or any(sidecars(path))):
        raise DamagedCopy("it is empty")


def check_tables(db: sqlite3.Connection) -> None:
    """Refuse another program's database before anything is written to it. Raises DamagedCopy, sqlite3.Error."""
    db.execute("PRAGMA busy_timeout=2000")
    for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        columns = tuple(name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,)))
        if TABLES.get(table) != columns:
            raise DamagedCopy(f"its table {table} is not one of a local copy")


def check(db: sqlite3.Connection) -> None:
    """Check that the file is whole. Raises DamagedCopy, sqlite3.Error."""
    (verdict,) = db.execute("PRAGMA quick_check").fetchone()
    if verdict != "ok":
        raise DamagedCopy(str(verdict))
    if db.execute(READ_HEAD).fetchone() is None:
        raise DamagedCopy("it has no head")


@contextmanager
def reading(path: Path, db: sqlite3.Connection | None) -> Generator[sqlite3.Connection]:
    """Provide the open database, or an image of the file when it is not open. Raises OSError, sqlite3.Error."""
    if db is not None:
        yield db
        return
    image = image_of(path)
    try:
        yield image
    finally:
        image.close()


def put_aside(path: Path, reason: str) -> None:
    """Rename the damaged file and SQLite's files beside it. Raises OSError."""
    aside = path.with_name(f"{path.name}.broken-{time.time_ns()}")
    log.error("store.put_aside", path=str(path), aside=str(aside), reason=reason)
    for part in (path, *sidecars(path)):
        if part.exists():
            part.rename(f"{aside}{part.name.removeprefix(path.name)}")


def sidecars(path: Path) -> list[Path]:
    """List SQLite's own files beside this one that exist."""
    return [part for suffix in SIDECAR_SUFFIXES if (part := Path(f"{path}{suffix}")).exists()]
