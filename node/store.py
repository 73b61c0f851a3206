"""The local copy on disk: SQLite in WAL mode with synchronous=FULL, whole after a kill or on a full disk."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import structlog
from pydantic import ValidationError

from node.errors import StoreFailed
from node.local_copy import Change, Holding, LocalCopy
from shared.proxies import ProxyRecord, pair_hash

log = structlog.get_logger()

SCHEMA = """
CREATE TABLE IF NOT EXISTS heads (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    owner TEXT NOT NULL, rev INTEGER NOT NULL, seen INTEGER NOT NULL, top INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS holdings (
    id INTEGER PRIMARY KEY, version INTEGER NOT NULL, content INTEGER NOT NULL, rec_rev INTEGER NOT NULL,
    record TEXT, refusal TEXT NOT NULL, good TEXT
);
INSERT OR IGNORE INTO heads VALUES (1, '', 0, 0, 0);
CREATE TABLE IF NOT EXISTS places (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), ip TEXT NOT NULL);
INSERT OR IGNORE INTO places VALUES (1, '');
CREATE TABLE IF NOT EXISTS sessions (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO sessions VALUES (1, 0);
"""


class Store:
    """One agent's file. Every method blocks for as long as the disk does; none leaves half a change behind.

    Methods may be called from several threads; they take turns.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file. One that cannot be read is put aside: the master knows everything in it."""
        self._path = path
        self._turn = threading.Lock()
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.name}.broken-{int(time.time())}")
            log.error("store.put_aside", path=str(path), aside=str(aside), reason=str(error))
            for suffix in ("", "-wal", "-shm"):
                if (part := Path(f"{path}{suffix}")).exists():
                    part.rename(f"{aside}{suffix}")
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000;" + SCHEMA)
            (verdict,) = db.execute("PRAGMA quick_check").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def load(self) -> LocalCopy:
        """The copy as it was last written. A record that this program cannot read counts as not here."""
        rev, seen, top = self._db.execute("SELECT rev, seen, top FROM heads").fetchone()
        wanted = dict(self._db.execute("SELECT id, version FROM wanted").fetchall())
        rows = self._db.execute("SELECT id, version, content, rec_rev, record, refusal, good FROM holdings")
        holdings = [holding for row in rows if (holding := read_holding(row)) is not None]
        (ip,) = self._db.execute("SELECT ip FROM places").fetchone()
        return LocalCopy(
            rev=rev, seen=seen, top=top, wanted=wanted, holdings={holding.id: holding for holding in holdings}, ip=ip
        )

    def write(self, change: Change) -> None:
        """Make the change durable. Raises StoreFailed; then the file holds what it held before."""
        gone = [(id_,) for id_ in change.drop]
        with self._turn, Transaction(self._db) as db:
            db.execute("UPDATE heads SET rev = ?, seen = ?, top = ?", (change.rev, change.seen, change.top))
            if change.ip:
                db.execute("UPDATE places SET ip = ?", (change.ip,))
            db.executemany("DELETE FROM wanted WHERE id = ?", gone)
            db.executemany("DELETE FROM holdings WHERE id = ?", gone)
            db.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?)", change.want.items())
            db.executemany("INSERT OR REPLACE INTO holdings VALUES (?, ?, ?, ?, ?, ?, ?)", map(row_of, change.put))

    def mark_good(self, holdings: list[Holding]) -> None:
        """Remember which records really ran. Raises StoreFailed."""
        rows = [(holding.good.model_dump_json() if holding.good else None, holding.id) for holding in holdings]
        with self._turn, Transaction(self._db) as db:
            db.executemany("UPDATE holdings SET good = ? WHERE id = ?", rows)

    def belong_to(self, owner: str) -> bool:
        """Make this the copy of that node of that cluster; what another owner left is forgotten. True if it was."""
        with self._turn, Transaction(self._db) as db:
            (before,) = db.execute("SELECT owner FROM heads").fetchone()
            if before == owner:
                return False
            db.execute("UPDATE heads SET owner = ?, rev = 0, seen = 0, top = 0", (owner,))
            db.execute("UPDATE places SET ip = ''")
            db.execute("DELETE FROM wanted")
            db.execute("DELETE FROM holdings")
        return bool(before)

    def begin_session(self) -> int:
        """A number above those of all earlier sessions, however the clock was set meanwhile. Raises StoreFailed.

        It begins with the clock (milliseconds), so that it is above them even when the file was lost.
        """
        with self._turn, Transaction(self._db) as db:
            (last,) = db.execute("SELECT last FROM sessions").fetchone()
            session = max(last + 1, int(time.time() * 1000))
            db.execute("UPDATE sessions SET last = ?", (session,))
        return session

    def close(self) -> None:
        """Leave the file whole and without a write-ahead log."""
        with self._turn, closing(self._db):
            pass


class Transaction:
    """BEGIN, then COMMIT or ROLLBACK; SQLite's errors become StoreFailed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Of this connection."""
        self._db = db

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StoreFailed(reason=f"the local copy cannot be written: {error}") from error
        return self._db

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
                return
        except sqlite3.Error as failure:
            error = failure
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise StoreFailed(reason=f"the local copy cannot be written: {error}") from error


def row_of(holding: Holding) -> tuple[object, ...]:
    """A holding as its row."""
    record = holding.record.model_dump_json() if holding.record else None
    good = record if holding.good is holding.record else holding.good.model_dump_json() if holding.good else None
    return (holding.id, holding.version, holding.content, holding.rec_rev, record, holding.refusal, good)


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
