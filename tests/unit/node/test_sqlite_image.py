"""What an SQLite file and its write-ahead log hold together, read without SQLite's locks."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.state.sqlite_image import image_of

STEPS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 9_000), st.sampled_from(["commit", "rollback", "checkpoint"])),
    min_size=1,
    max_size=30,
)
QUERY = "SELECT id, body FROM notes ORDER BY id"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, page=st.sampled_from([512, 4096]), cut=st.integers(0, 20_000))
def test_it_is_what_sqlite_itself_recovers(tmp_path: Path, steps: list[tuple[int, int, str]], page: int, cut: int):
    path = tmp_path / "a.db"
    for left in tmp_path.iterdir():
        left.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(
            f"PRAGMA page_size={page}; PRAGMA journal_mode=WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, body)"
        )
        for id_, size, then in steps:
            db.execute("BEGIN")
            if size % 3:
                db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (id_, bytes([id_]) * size))
            else:
                db.execute("DELETE FROM notes WHERE id <= ?", (id_,))
            db.execute("ROLLBACK" if then == "rollback" else "COMMIT")
            if then == "checkpoint":
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        snapshot = tmp_path / "b.db"
        shutil.copy(path, snapshot)
        log = Path(f"{path}-wal").read_bytes()
    # Only what no checkpoint has moved into the file can be torn.
    torn = 0 if any(then == "checkpoint" for *_, then in steps) else cut
    Path(f"{snapshot}-wal").write_bytes(log[: max(0, len(log) - torn)])
    with closing(image_of(snapshot)) as image:
        found = told(image)
    with closing(sqlite3.connect(snapshot)) as recovered:
        assert found == told(recovered)


def told(db: sqlite3.Connection) -> object:
    try:
        return db.execute(QUERY).fetchall(), db.execute("PRAGMA quick_check").fetchone()
    except sqlite3.OperationalError as error:
        return str(error)


def test_it_writes_nothing(tmp_path: Path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, body)")
        before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
        image_of(path).close()
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_what_is_no_database_is_called_so(tmp_path: Path):
    (tmp_path / "a.db").write_bytes(b"no database" * 1000)
    with closing(image_of(tmp_path / "a.db")) as image, pytest.raises(sqlite3.DatabaseError, match="not a database"):
        image.execute(QUERY)
