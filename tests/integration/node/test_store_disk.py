"""A local copy on a disk that is full, read-only, forbidden or out of reach when the agent starts, and later."""

import os
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import StoreFailed
from node.state.local_copy import CopyChange, LocalCopy, on_list
from node.state.store import Store
from tests.services.sandbox import NOBODY, SmallDisk, in_child, killed, use_up_descriptors
from tests.unit.node.test_local_copy import header
from tests.unit.node.test_store import fill

Cure = Callable[[], None]


def expected(path: Path) -> LocalCopy:
    """What the file holds, told by another file that was written in the same way."""
    twin = path.with_name("twin.db")
    copy = fill(store := Store(twin), store.load())
    store.close()
    twin.unlink()
    return copy


def write(path: Path) -> None:
    fill(store := Store(path), store.load())


def write_and_stop(path: Path) -> None:
    fill(store := Store(path), store.load())
    store.close()


def write_until_refused(store: Store, copy: LocalCopy) -> CopyChange:
    """A log that is there already has room for some changes; each that was written is in `copy`."""
    for number in range(4, 400):
        change = on_list(copy, header(number), [(1, number), (2, 5)])
        try:
            store.write(change)
        except StoreFailed:
            return change
        copy.take(change)
    raise AssertionError("every change was written")


def full(disk: SmallDisk) -> Cure:
    disk.fill()
    return disk.free


def full_and_without_shared_memory(disk: SmallDisk) -> Cure:
    (disk.path / "copy.db-shm").unlink(missing_ok=True)
    disk.fill()
    return disk.free


def read_only(disk: SmallDisk) -> Cure:
    disk.take_no_writes()
    return disk.take_writes


def locked(disk: SmallDisk) -> Cure:
    other = sqlite3.connect(disk.path / "copy.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    return other.close


def without_room_for_a_file(_: SmallDisk) -> Cure:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


TROUBLES = [full, full_and_without_shared_memory, read_only, locked, without_room_for_a_file]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("end", [write, write_and_stop])
def test_an_agent_that_starts_where_nothing_can_be_written_serves_what_it_had_and_goes_on_when_it_can(
    tmp_path: Path, trouble: Callable[[SmallDisk], Cure], end: Callable[[Path], None]
):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        path = disk.path / "copy.db"
        before = expected(path)
        killed(lambda: end(path))
        heal = trouble(disk)
        store = Store(path)
        assert (store.load(), store.is_read) == (before, True)
        assert store.begin_session() > 0
        refused = write_until_refused(store, before)
        assert (store.load(), bool(store.write_error)) == (before, True)
        heal()
        store.write(refused)
        before.take(refused)
        assert (store.load(), store.write_error) == (before, "")
        store.close()
        assert Store(path).load() == before
        assert not list(disk.path.glob("*.broken-*"))

    in_child(act)


@pytest.mark.parametrize("trouble", [full, read_only])
def test_a_copy_whose_disk_refuses_in_the_middle_goes_on_when_it_can(
    tmp_path: Path, trouble: Callable[[SmallDisk], Cure]
):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        store = Store(disk.path / "copy.db")
        copy = fill(store, store.load())
        store.drop_connection()  # no file system becomes read-only while a file is open for writing
        heal = trouble(disk)
        write_until_refused(store, copy)
        assert "cannot be written" in store.write_error
        assert Store(disk.path / "copy.db").load() == copy
        heal()
        store.write_outstanding()
        assert (store.write_error, store.load()) == ("", copy)

    in_child(act)


def test_a_copy_that_cannot_even_be_read_is_kept_and_read_later(tmp_path: Path):
    def act() -> None:
        path = tmp_path / "copy.db"
        before = expected(path)
        write_and_stop(path)
        use_up_descriptors()
        store = Store(path)
        assert (store.load(), store.is_read) == (LocalCopy(), False)
        with pytest.raises(StoreFailed):
            store.write(on_list(LocalCopy(), header(9), []))
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        with pytest.raises(StoreFailed, match="read"):
            store.write_outstanding()
        assert (store.load(), store.is_read) == (before, True)
        store.write_outstanding()
        assert (store.load(), store.write_error) == (before, "")

    in_child(act)


def test_a_copy_of_another_user_is_kept(tmp_path: Path):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        path = disk.path / "copy.db"
        before = expected(path)
        write_and_stop(path)
        for place in (disk.path, *disk.path.parents[:3]):
            place.chmod(0o777)
        os.setresuid(NOBODY, NOBODY, 0)
        store = Store(path)
        assert (store.load(), store.is_read) == (LocalCopy(), False)
        os.setresuid(0, 0, 0)
        assert (store.load(), store.is_read) == (before, True)
        assert [name.name for name in disk.path.iterdir()] == ["copy.db"]

    in_child(act)


def test_what_belongs_to_another_node_is_forgotten_as_soon_as_that_can_be_written(tmp_path: Path):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        path = disk.path / "copy.db"
        store = Store(path)
        store.belong_to("a/1")
        before = fill(store, store.load())
        store.close()
        disk.fill()
        store = Store(path)
        assert (store.belong_to("a/1"), store.load()) == (False, before)
        assert (store.belong_to("b/1"), store.load()) == (True, LocalCopy())
        disk.free()
        store.write_outstanding()
        store.close()
        assert Store(path).load() == LocalCopy()

    in_child(act)


def test_what_ran_is_remembered_as_soon_as_that_can_be_written(tmp_path: Path):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        store = Store(disk.path / "copy.db")
        copy = fill(store, store.load())
        store.close()
        disk.fill()
        stored = copy.proxies[1]
        good = type(stored)(**{f: getattr(stored, f) for f in stored.__slots__} | {"good": stored.record})
        with pytest.raises(StoreFailed):
            store.mark_good([good])
        disk.free()
        store.write_outstanding()
        assert store.load().proxies[1].good == stored.record

    in_child(act)
