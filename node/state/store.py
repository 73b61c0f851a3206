"""Store of the local copy on disk: SQLite in WAL mode with synchronous=FULL, whole after a kill or on a full disk.

Longer than most modules because every statement of the file and what its failure means stand in one place.
"""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import structlog

from node.errors import StoreFailed
from node.state.local_copy import CopyChange, LocalCopy, StoredProxy
from node.state.local_copy_file import (
    READ_HEAD,
    READ_IP,
    READ_LAST_SESSION,
    READ_PROXIES,
    READ_WANTED,
    DamagedCopy,
    is_damage,
    opened,
    put_aside,
    reading,
)
from node.state.rows import RowReader, good_json, row_of

log = structlog.get_logger()


class Store:
    """The file of one agent. Every method blocks on the disk, and none leaves half a change behind.

    A damaged file is put aside, since the master knows everything in it. When the disk is full, read-only or broken for
    now, the file is kept and read, `write_error` is the reason, and every write raises StoreFailed until one succeeds.
    Methods may be called from several threads; a lock serialises them.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file, if that is possible now."""
        self.changing = asyncio.Lock()
        """Held from deciding on a change of the copy until the change is taken."""
        self.write_error = ""
        """Reason why the last write failed; empty when it succeeded."""
        self.is_read = True
        """Whether `load` has read the file. Until then, nothing is written."""
        self._path = path
        self._turn = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._owner: str | None = None
        self._session = 0
        self._good: dict[int, StoredProxy] = {}
        """Stored proxies whose good record is not on disk yet."""
        try:
            self._begin()
        except (OSError, DamagedCopy, sqlite3.Error) as error:
            log.error("store.unwritable", path=str(path), reason=self.failed(error).reason)

    def load(self) -> LocalCopy:
        """Read the copy. It is empty when the file cannot be read now, and then `is_read` is False.

        Records that this program cannot read are left out.
        """
        with self._turn:
            try:
                with reading(self._path, self._db) as db:
                    copy = read_copy(db, self._owner)
                self.is_read = True
            except FileNotFoundError:
                return LocalCopy()
            except (OSError, sqlite3.Error) as error:
                log.error("store.unreadable", path=str(self._path), reason=str(error))
                self.is_read = is_damage(error)
                return LocalCopy()
        return copy

    def write_outstanding(self) -> None:
        """Write the changes that earlier writes could not. Raises StoreFailed while the disk refuses."""
        with self._turn, Transaction(self) as db:
            db.execute("UPDATE sessions SET last = max(last, ?)", (self._session,))

    def write(self, change: CopyChange) -> None:
        """Make the change durable. On StoreFailed the file keeps its earlier content."""
        dropped = [(id_,) for id_ in change.drop]
        with self._turn, Transaction(self) as db:
            db.execute("UPDATE heads SET rev = ?, seen = ?, top = ?", (change.rev, change.seen, change.top))
            if change.ip:
                db.execute("UPDATE places SET ip = ?", (change.ip,))
            db.executemany("DELETE FROM wanted WHERE id = ?", dropped)
            db.executemany("DELETE FROM proxies WHERE id = ?", dropped)
            db.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?)", change.want.items())
            db.executemany("INSERT OR REPLACE INTO proxies VALUES (?, ?, ?, ?, ?, ?, ?)", map(row_of, change.put))

    def mark_good(self, proxies: list[StoredProxy]) -> None:
        """Note which records really ran. On StoreFailed the next successful write does it."""
        with self._turn:
            self._good.update({stored.id: stored for stored in proxies})
            with Transaction(self):
                pass

    def belong_to(self, owner: str) -> bool:
        """Make this the copy of that owner; True if another owner's content was dropped.

        While the disk refuses, the next successful write does it first.
        """
        with self._turn:
            self._owner = owner
            before = str(self._read(READ_HEAD, ""))
            if before == owner:
                return False
            self._good = {}
            try:
                with Transaction(self):
                    pass
            except StoreFailed as error:
                log.error("store.write_failed", reason=error.reason)
        return bool(before)

    def begin_session(self) -> int:
        """Draw a session number above all earlier ones, even if the clock was set back meanwhile.

        It is at least the clock in milliseconds, so that it is above them even if the file was lost.
        """
        with self._turn:
            self._session = max(int(self._read(READ_LAST_SESSION, 0)) + 1, int(time.time() * 1000))
        try:
            self.write_outstanding()
        except StoreFailed as error:
            log.error("store.write_failed", reason=error.reason)
        return self._session

    def close(self) -> None:
        """Close the file, which leaves it whole and without a write-ahead log."""
        with self._turn:
            self.drop_connection()

    def drop_connection(self) -> None:
        """Close the connection; the next write opens the file again."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def begin(self) -> sqlite3.Connection:
        """Begin a transaction, with the changes that earlier ones could not write first.

        Raises OSError, DamagedCopy, sqlite3.Error.
        """
        if not self.is_read:
            raise DamagedCopy("it could not be read yet")
        self._db = db = self._db or opened(self._path)
        db.execute("BEGIN IMMEDIATE")
        (owner, *_) = db.execute(READ_HEAD).fetchone()
        if self._owner not in (None, owner):
            db.execute("UPDATE heads SET owner = ?, rev = 0, seen = 0, top = 0", (self._owner,))
            db.execute("UPDATE places SET ip = ''")
            db.execute("DELETE FROM wanted")
            db.execute("DELETE FROM proxies")
        good = [(good_json(stored), id_) for id_, stored in self._good.items()]
        db.executemany("UPDATE proxies SET good = ? WHERE id = ?", good)
        return db

    def roll_back(self) -> None:
        """Roll back, or drop a connection that cannot: on disk the log ends before the transaction."""
        try:
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self.drop_connection()

    def succeeded(self) -> None:
        """Note that the transaction, with all outstanding changes, is on disk."""
        self._good, self.write_error = {}, ""

    def failed(self, error: Exception) -> StoreFailed:
        """Translate the error for the operator, and keep it as `write_error`."""
        self.write_error = f"the local copy cannot be written: {error}"
        return StoreFailed(reason=self.write_error)

    def _begin(self) -> None:
        """Open the file; put a damaged one aside. Raises OSError, DamagedCopy, sqlite3.Error."""
        try:
            self._db = opened(self._path)
        except (DamagedCopy, sqlite3.Error) as error:
            if not is_damage(error):
                raise
            put_aside(self._path, str(error))
            self._db = opened(self._path)

    def _read(self, query: str, default: str | int) -> str | int:
        """Read the first column of a query; the default when the file cannot be read now."""
        try:
            with reading(self._path, self._db) as db:
                return db.execute(query).fetchone()[0]
        except (OSError, sqlite3.Error):
            return default


class Transaction:
    """One transaction: BEGIN, then COMMIT or ROLLBACK. Errors of SQLite and of the disk become StoreFailed."""

    def __init__(self, store: Store) -> None:
        """The caller holds the lock of the store."""
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._db = self._store.begin()
        except (OSError, DamagedCopy, sqlite3.Error) as error:
            self._store.roll_back()
            raise self._store.failed(error) from error
        return self._db

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
                self._store.succeeded()
                return
        except sqlite3.Error as failure:
            error = failure
        self._store.roll_back()
        if isinstance(error, sqlite3.Error):
            raise self._store.failed(error) from error


def read_copy(db: sqlite3.Connection, owner: str | None) -> LocalCopy:
    """Read the copy; it is empty when the file is another owner's. Raises sqlite3.Error."""
    theirs, rev, seen, top = db.execute(READ_HEAD).fetchone()
    if owner not in (None, theirs):
        return LocalCopy()
    wanted = dict(db.execute(READ_WANTED).fetchall())
    reader = RowReader()
    proxies = [stored for row in db.execute(READ_PROXIES) if (stored := reader.stored_proxy(row)) is not None]
    (ip,) = db.execute(READ_IP).fetchone()
    return LocalCopy(
        rev=rev, seen=seen, top=top, wanted=wanted, proxies={stored.id: stored for stored in proxies}, ip=ip
    )
