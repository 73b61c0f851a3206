"""The local copy on disk: SQLite in WAL mode with synchronous=FULL, whole after a kill or on a full disk."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import structlog
from pydantic import ValidationError

from node.errors import StoreFailed
from node.state.local_copy import CopyChange, Holding, LocalCopy
from node.state.local_copy_file import (
    HEADS,
    HOLDINGS,
    LAST_SESSION,
    PLACE,
    WANTED,
    Damaged,
    is_damage,
    opened,
    put_aside,
    reading,
)
from shared.proxies import ProxyRecord, pair_hash

log = structlog.get_logger()


class Store:
    """One agent's file. Every method blocks for as long as the disk does; none leaves half a change behind.

    A damaged file is put aside: the master knows everything in it. When the disk is full, read-only or broken for now,
    the file is kept and read, `trouble` says why nothing can be written, and every write raises StoreFailed until one
    succeeds. Methods may be called from several threads; they take turns.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file, as far as that is possible now."""
        self.changing = asyncio.Lock()
        """Held from reading the copy for a change of it until the change is taken."""
        self.trouble = ""
        """Why nothing can be written; empty when the last write succeeded."""
        self.is_read = True
        """Whether `load` gave what the file holds. Until it has, nothing is written."""
        self._path = path
        self._turn = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._owner: str | None = None
        self._session = 0
        self._good: dict[int, Holding] = {}
        """Holdings whose good record is not on disk yet."""
        try:
            self._begin()
        except (OSError, Damaged, sqlite3.Error) as error:
            log.error("store.unwritable", path=str(path), reason=self.failed(error).reason)

    def load(self) -> LocalCopy:
        """The copy as it was last written; empty when the file cannot be read now, and then `is_read` is False.

        A record that this program cannot read counts as not here.
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

    def mend(self) -> None:
        """Write what earlier writes left undone. Raises StoreFailed while nothing can be written."""
        with self._turn, Transaction(self) as db:
            db.execute("UPDATE sessions SET last = max(last, ?)", (self._session,))

    def write(self, change: CopyChange) -> None:
        """Make the change durable. Raises StoreFailed; then the file holds what it held before."""
        gone = [(id_,) for id_ in change.drop]
        with self._turn, Transaction(self) as db:
            db.execute("UPDATE heads SET rev = ?, seen = ?, top = ?", (change.rev, change.seen, change.top))
            if change.ip:
                db.execute("UPDATE places SET ip = ?", (change.ip,))
            db.executemany("DELETE FROM wanted WHERE id = ?", gone)
            db.executemany("DELETE FROM holdings WHERE id = ?", gone)
            db.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?)", change.want.items())
            db.executemany("INSERT OR REPLACE INTO holdings VALUES (?, ?, ?, ?, ?, ?, ?)", map(row_of, change.put))

    def mark_good(self, holdings: list[Holding]) -> None:
        """Remember which records really ran. Raises StoreFailed; then the next write that succeeds does it."""
        with self._turn:
            self._good.update({holding.id: holding for holding in holdings})
            with Transaction(self):
                pass

    def belong_to(self, owner: str) -> bool:
        """Make this the copy of that node of that cluster; what another owner left is forgotten. True if it was.

        When nothing can be written now, the next write that succeeds does it first.
        """
        with self._turn:
            self._owner = owner
            before = str(self._read(HEADS, ""))
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
        """A number above those of all earlier sessions, however the clock was set meanwhile.

        It begins with the clock (milliseconds), so that it is above them even when the file was lost.
        """
        with self._turn:
            self._session = max(int(self._read(LAST_SESSION, 0)) + 1, int(time.time() * 1000))
        try:
            self.mend()
        except StoreFailed as error:
            log.error("store.write_failed", reason=error.reason)
        return self._session

    def close(self) -> None:
        """Leave the file whole and without a write-ahead log."""
        with self._turn:
            self.drop_connection()

    def drop_connection(self) -> None:
        """The next write opens the file anew."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def begin(self) -> sqlite3.Connection:
        """A transaction that begins with what earlier ones left undone. Raises OSError, Damaged, sqlite3.Error."""
        if not self.is_read:
            raise Damaged("it could not be read yet")
        self._db = db = self._db or opened(self._path)
        db.execute("BEGIN IMMEDIATE")
        (owner, *_) = db.execute(HEADS).fetchone()
        if self._owner not in (None, owner):
            db.execute("UPDATE heads SET owner = ?, rev = 0, seen = 0, top = 0", (self._owner,))
            db.execute("UPDATE places SET ip = ''")
            db.execute("DELETE FROM wanted")
            db.execute("DELETE FROM holdings")
        good = [(good_of(holding), id_) for id_, holding in self._good.items()]
        db.executemany("UPDATE holdings SET good = ? WHERE id = ?", good)
        return db

    def roll_back(self) -> None:
        """A connection that cannot even do this is given up: on disk the log ends before the transaction."""
        try:
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self.drop_connection()

    def succeeded(self) -> None:
        """The transaction is on disk."""
        self._good, self.trouble = {}, ""

    def failed(self, error: Exception) -> StoreFailed:
        """What the error means for the operator, which is the trouble from now on."""
        self.trouble = f"the local copy cannot be written: {error}"
        return StoreFailed(reason=self.trouble)

    def _begin(self) -> None:
        """Raises OSError, Damaged, sqlite3.Error."""
        try:
            self._db = opened(self._path)
        except (Damaged, sqlite3.Error) as error:
            if not is_damage(error):
                raise
            put_aside(self._path, str(error))
            self._db = opened(self._path)

    def _read(self, query: str, default: str | int) -> str | int:
        """The first column of the file as it is; the default when it cannot be read now."""
        try:
            with reading(self._path, self._db) as db:
                return db.execute(query).fetchone()[0]
        except (OSError, sqlite3.Error):
            return default


class Transaction:
    """BEGIN, then COMMIT or ROLLBACK; errors of SQLite and of the disk become StoreFailed."""

    def __init__(self, store: Store) -> None:
        """Of this store, whose turn is held."""
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._db = self._store.begin()
        except (OSError, Damaged, sqlite3.Error) as error:
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
    """An empty copy when the file is another owner's. Raises sqlite3.Error."""
    theirs, rev, seen, top = db.execute(HEADS).fetchone()
    if owner not in (None, theirs):
        return LocalCopy()
    wanted = dict(db.execute(WANTED).fetchall())
    holdings = [holding for row in db.execute(HOLDINGS) if (holding := read_holding(row)) is not None]
    (ip,) = db.execute(PLACE).fetchone()
    return LocalCopy(
        rev=rev, seen=seen, top=top, wanted=wanted, holdings={holding.id: holding for holding in holdings}, ip=ip
    )


def row_of(holding: Holding) -> tuple[object, ...]:
    """A holding as its row."""
    record = holding.record.model_dump_json() if holding.record else None
    good = record if holding.good is holding.record else good_of(holding)
    return (holding.id, holding.version, holding.content, holding.rec_rev, record, holding.refusal, good)


def good_of(holding: Holding) -> str | None:
    """The last record that really ran, as it is kept."""
    return holding.good.model_dump_json() if holding.good else None


def read_holding(row: tuple[int, int, int, int, str | None, str, str | None]) -> Holding | None:
    """A row as its holding, or None when a later or earlier program wrote something unreadable."""
    id_, version, content, rec_rev, record, refusal, good = row
    try:
        return Holding(
            id=id_,
            version=version,
            content=content,
            rec_rev=rec_rev,
            record=ProxyRecord.model_validate_json(record) if record else None,
            refusal=refusal,
            good=ProxyRecord.model_validate_json(good) if good else None,
            pair_hash=pair_hash(id_, version),
        )
    except ValidationError:
        log.warning("store.record_unreadable", proxy_id=id_, version=version)
        return None
