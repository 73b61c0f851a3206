"""The agent's user cannot make root read, write or wait for anything else than a plain request of its own."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from node.upgrade import untrusted
from node.upgrade.records import BadRecord
from tests.upgrades.installation import OLD, Installation
from tests.upgrades.releases import Release

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root")
REQUEST = b'{"id": 1, "version": "0.2.0", "url": "http://127.0.0.1:9/manifest.json", "sha256": "%s"}' % (b"0" * 64)


def as_user(node: Installation, act: Callable[[Path], object]) -> None:
    """Do something in the place of the request as the agent's user."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(node.owner, node.owner, node.owner)
            os.setresuid(node.owner, node.owner, node.owner)
            act(node.layout.data_dir / "upgrade/request.json")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def symlink_to_secret(path: Path) -> None:
    path.symlink_to("/etc/shadow")


def folder_link(path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to("/etc")


def endless(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def folder(path: Path) -> None:
    (path / "within").mkdir(parents=True)


def socket_file(path: Path) -> None:
    import socket

    socket.socket(socket.AF_UNIX).bind(str(path))


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 4000)


def twice(path: Path) -> None:
    path.write_bytes(REQUEST[:-1] + b', "id": 2}')


def outward_name(path: Path) -> None:
    path.write_bytes(REQUEST.replace(b"0.2.0", b"../../x"))


def local_file(path: Path) -> None:
    path.write_bytes(REQUEST.replace(b"http://127.0.0.1:9", b"file:///etc"))


def nonsense(path: Path) -> None:
    path.write_bytes(os.urandom(2000))


@as_root
@pytest.mark.parametrize(
    "plant",
    [
        symlink_to_secret,
        folder_link,
        endless,
        huge,
        folder,
        socket_file,
        deep,
        twice,
        outward_name,
        local_file,
        nonsense,
    ],
    ids=lambda plant: plant.__name__,
)
def test_no_planted_request_is_followed(node: Installation, plant: Callable[[Path], None]) -> None:
    as_user(node, plant)
    before = snapshot(Path("/etc"))
    assert node.apply() == 1
    assert (node.current, node.restarts, node.state) == (OLD, [], None)
    assert snapshot(Path("/etc")) == before


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {entry.name: (entry.lstat().st_mtime_ns, entry.lstat().st_uid) for entry in folder.iterdir()}


@as_root
def test_a_hard_link_to_a_file_of_root_is_not_read(node: Installation) -> None:
    secret = node.root / "secret"
    secret.write_bytes(REQUEST)
    os.link(secret, node.layout.data_dir / "upgrade/request.json")
    assert node.apply() == 1
    assert (node.state, secret.read_bytes()) == (None, REQUEST)


@as_root
def test_root_writes_nothing_into_the_folder_of_the_user(node: Installation, releases: tuple[str, Path]) -> None:
    release = Release(releases[1], fault="schema").write()
    node.request(**release.order(releases[0]))
    assert node.apply() == 0
    data = node.layout.data_dir
    assert {each.lstat().st_uid for each in (data, *data.rglob("*"))} == {node.owner}


@as_root
def test_planted_links_in_the_place_of_the_backup_hit_no_file_of_root(
    node: Installation, releases: tuple[str, Path]
) -> None:
    import sqlite3

    target = node.root / "precious"
    target.write_text("root's")
    copy = node.layout.data_dir / "copy.db"
    sqlite3.connect(copy).execute("CREATE TABLE proxies (id)").connection.close()
    node.own_data()
    for name in (".copy.db.before-upgrade.new", "copy.db.before-upgrade", ".copy.db.restored", "copy.db-wal"):
        as_user(node, lambda path, name=name: (path.parent.parent / name).symlink_to(target))
    node.request(**Release(releases[1]).write().order(releases[0]))
    node.apply()
    assert target.read_text() == "root's"
    node.assert_serves()


@as_root
@pytest.mark.parametrize("place", ["versions", "state_dir", "work"])
def test_a_folder_that_others_can_write_is_not_relied_on(
    node: Installation, releases: tuple[str, Path], place: str
) -> None:
    node.request(**Release(releases[1]).write().order(releases[0]))
    folder = getattr(node.layout, place)
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, node.owner, node.owner)
    assert node.apply() == 1
    assert node.current == OLD
    os.chown(folder, 0, 0)
    folder.chmod(0o777)
    assert node.apply() == 1
    assert node.current == OLD


@as_root
def test_keys_that_others_can_write_are_not_trusted(node: Installation, releases: tuple[str, Path]) -> None:
    node.request(**Release(releases[1]).write().order(releases[0]))
    node.layout.keys_file.chmod(0o666)
    assert node.apply() == 0
    assert node.state is not None
    assert "is not a file that its owner alone can write" in node.state["reason"]


def test_a_request_that_changes_while_it_is_read_is_one_of_its_contents_or_refused(node: Installation) -> None:
    """The bytes are read once; nothing is decided by a second look."""
    path = node.layout.data_dir / "upgrade/request.json"
    contents = [json.dumps({"a": letter * 2000}).encode() for letter in "xy"]
    path.write_bytes(contents[0])
    node.own_data()
    pid = os.fork()
    if pid == 0:
        while True:
            for body in contents:
                path.write_bytes(body)
    try:
        for _ in range(300):
            raw = untrusted.read_below(node.layout.data_dir, "upgrade", "request.json", limit=4096)
            assert raw is not None
            assert len(raw) <= 4096
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_file_that_grows_while_it_is_read_is_refused(node: Installation) -> None:
    path = node.plant(b"x" * 5000)
    with pytest.raises(BadRecord, match="more than 4096 bytes"):
        untrusted.read_below(node.layout.data_dir, "upgrade", path.name, limit=4096)


@as_root
def test_a_later_request_survives_the_end_of_an_earlier_one(node: Installation, releases: tuple[str, Path]) -> None:
    release = Release(releases[1]).write()
    node.request(**release.order(releases[0], id_=7))
    assert node.apply() == 0
    node.request(**release.order(releases[0], id_=8))
    assert node.apply() == 0
    assert node.state is not None
    assert (node.state["id"], node.state["state"]) == (8, "done")
    assert len(node.restarts) == 1


def test_only_the_owner_may_open_the_folder_with_the_lock(node: Installation) -> None:
    node.apply()
    assert stat.S_IMODE(node.layout.work.stat().st_mode) == 0o700
    shutil.rmtree(node.layout.work)
