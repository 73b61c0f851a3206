"""The local copy on disk."""

import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import StoreFailed
from node.state.local_copy import LocalCopy, on_list, on_records
from node.state.store import Store
from tests.unit.node.test_local_copy import header, item


def fill(store: Store, copy: LocalCopy) -> LocalCopy:
    for change in (
        lambda: on_list(copy, header(3).model_copy(update={"ip": "203.0.113.7"}), [(1, 1), (2, 5)]),
        lambda: on_records(copy, header(3), [item(1, 1), item(2, 5, port=99999)]),
    ):
        made = change()
        store.write(made)
        copy.take(made)
    return copy


def test_what_was_written_is_there_after_a_restart(tmp_path: Path):
    store = Store(tmp_path / "copy.db")
    copy = fill(store, store.load())
    store.close()
    assert Store(tmp_path / "copy.db").load() == copy
    assert copy.ip == "203.0.113.7"


def test_a_good_record_is_remembered(tmp_path: Path):
    store = Store(tmp_path / "copy.db")
    copy = fill(store, store.load())
    stored = copy.proxies[1]
    store.mark_good([type(stored)(**{f: getattr(stored, f) for f in stored.__slots__} | {"good": stored.record})])
    assert store.load().proxies[1].good == stored.record


def test_only_its_own_user_reads_the_file(tmp_path: Path):
    Store(tmp_path / "copy.db")
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def of_another_format(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def zeroed_in_the_middle(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.executescript("CREATE TABLE heads (only_one INTEGER PRIMARY KEY, name TEXT)")
    db.close()


def without_its_head(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE proxies RENAME TO others")
        db.execute("CREATE TABLE proxies (id INTEGER PRIMARY KEY, version INTEGER NOT NULL)")
    db.close()


DAMAGES = [emptied, truncated, of_another_format, zeroed_in_the_middle, of_another_program, without_its_head]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_damaged_is_put_aside_with_what_is_beside_it_and_a_new_one_made(
    tmp_path: Path, damage: Callable[[Path], None]
):
    path = tmp_path / "copy.db"
    fill(store := Store(path), store.load())
    store.close()
    damage(path)
    damaged = path.read_bytes()
    store = Store(path)
    assert (store.load(), store.write_error) == (LocalCopy(), "")
    [aside] = tmp_path.glob("copy.db.broken-*[0-9]")
    assert aside.read_bytes() == damaged
    fill(store, store.load())


@pytest.mark.parametrize("is_there", [True, False])
def test_a_log_whose_file_is_empty_or_gone_is_put_aside(tmp_path: Path, is_there: bool):
    if is_there:
        (tmp_path / "copy.db").touch()
    (tmp_path / "copy.db-wal").write_bytes(b"a log")
    assert Store(tmp_path / "copy.db").load() == LocalCopy()
    assert [each.read_bytes() for each in tmp_path.glob("copy.db.broken-*-wal")] == [b"a log"]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path):
    store = Store(tmp_path / "copy.db")
    copy = fill(store, store.load())
    other = sqlite3.connect(tmp_path / "copy.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="locked"):
        store.write(on_list(copy, header(4), []))
    other.execute("ROLLBACK")
    other.close()
    assert store.load() == copy


def test_another_owner_does_not_inherit_proxies(tmp_path: Path):
    store = Store(tmp_path / "copy.db")
    assert store.belong_to("a/1") is False
    fill(store, store.load())
    assert store.belong_to("a/1") is False
    assert store.belong_to("b/1") is True
    assert store.load() == LocalCopy()
