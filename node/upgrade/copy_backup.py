"""Backup of the local copy beside it, made and restored as its owner: SQLite writes files of its own in that folder."""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from node.upgrade.downloads import DeadlinePassed, deadline
from node.upgrade.durable import sync_file

COPY = "copy.db"
BACKUP = "copy.db.before-upgrade"
SIDECARS = ("-wal", "-shm", "-journal")
LIMIT_S = 120.0
BUSY_S = 10.0
ANSWER = 4096


class BackupFailed(Exception):
    """The local copy could not be saved or restored."""


@dataclass(frozen=True, slots=True)
class User:
    """The owner of the data folder, as whom the agent runs."""

    uid: int
    gid: int

    @property
    def is_self(self) -> bool:
        """Whether this process already runs as this user."""
        return self.uid == os.geteuid()


def user_of(data_dir: Path) -> User:
    """Return the owner of the data folder. Raises OSError."""
    status = data_dir.stat()
    return User(status.st_uid, status.st_gid)


def save(data_dir: Path, user: User) -> str | None:
    """Save the local copy, and return a digest of its schema; None for a node without one. Raises BackupFailed."""
    return as_user(user, lambda: save_here(data_dir)) or None


def restore(data_dir: Path, user: User, schema: str) -> bool:
    """Restore the local copy if its schema is another one by now; whether it was. The agent may not run.

    Raises BackupFailed.
    """
    return as_user(user, lambda: restore_here(data_dir, schema)) == "restored"


def is_changed(data_dir: Path, user: User, schema: str) -> bool:
    """Whether the local copy has another schema by now, or cannot be read. Raises BackupFailed."""
    return as_user(user, lambda: schema_here(data_dir)) != schema


def forget(data_dir: Path, user: User, *names: str) -> None:
    """Remove files below the data folder as its owner. Raises BackupFailed."""

    def remove() -> str:
        for name in names:
            (data_dir / name).unlink(missing_ok=True)
        return ""

    as_user(user, remove)


def as_user(user: User, act: Callable[[], str]) -> str:
    """Run a short act in a child process that is this user, and return its text. Raises BackupFailed."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        run_child(user, act, theirs)
    os.close(theirs)
    try:
        with deadline(LIMIT_S), os.fdopen(ours, "rb") as answer:
            body = answer.read(ANSWER).decode(errors="replace")
    except DeadlinePassed:
        os.kill(child, 9)
        body = "failed: it took too long"
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise BackupFailed(body.removeprefix("failed: ") or f"the child process ended with {code}")
    return body


def run_child(user: User, act: Callable[[], str], answer: int) -> None:
    """Become the user, act, answer and end. Never returns."""
    code = 1
    try:
        if not user.is_self:
            os.setgroups([])
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
        os.umask(0o077)
        os.write(answer, act().encode())
        code = 0
    except (OSError, sqlite3.Error) as error:
        os.write(answer, f"failed: {error}"[:ANSWER].encode())
    finally:
        os._exit(code)


def save_here(data_dir: Path) -> str:
    """Copy the database with SQLite's backup API, whole even while the agent writes. Raises OSError, sqlite3.Error."""
    path, aside = data_dir / COPY, data_dir / f".{BACKUP}.new"
    if not path.exists():
        return ""
    aside.unlink(missing_ok=True)
    with closing(connected(path)) as source, closing(sqlite3.connect(aside)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
        digest = schema_of(target)
    sync_file(aside)
    aside.rename(data_dir / BACKUP)
    return digest


def restore_here(data_dir: Path, schema: str) -> str:
    """Put the backup in the place of a copy with another schema. Repeatable. Raises OSError, sqlite3.Error."""
    path, aside = data_dir / COPY, data_dir / f".{COPY}.restored"
    if schema_here(data_dir) == schema:
        return "kept"
    aside.unlink(missing_ok=True)
    with closing(connected(data_dir / BACKUP)) as source, closing(sqlite3.connect(aside)) as target:
        source.backup(target)
    sync_file(aside)
    for suffix in SIDECARS:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    aside.rename(path)
    return "restored"


def schema_here(data_dir: Path) -> str:
    """Return the digest of the schema; empty for a copy that is gone or unreadable."""
    if not (data_dir / COPY).exists():
        return ""
    try:
        with closing(connected(data_dir / COPY)) as db:
            return schema_of(db)
    except sqlite3.DatabaseError:
        return ""


def connected(path: Path) -> sqlite3.Connection:
    """Open an existing database. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_S)


def schema_of(db: sqlite3.Connection) -> str:
    """Return a digest of all definitions and of the version that a program gave to the schema. Raises sqlite3.Error."""
    rows = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    version = db.execute("PRAGMA user_version").fetchone()
    return hashlib.sha256(repr((rows, version)).encode()).hexdigest()
