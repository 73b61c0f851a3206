"""A bundle cannot leave its folder, bring rights or links along, or grow without end."""

import gzip
import io
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from node.upgrade import unpacking
from node.upgrade.decisions import Refused
from tests.upgrades.installation import NEW, write_version
from tests.upgrades.releases import bundle

TOP = f"maybe-node-{NEW}"


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0, mode: int = 0o644
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size, made.mode = kind, link, size, mode
    return made


def unpacked(folder: Path, *further: tarfile.TarInfo) -> Path:
    body = bundle(NEW, "", folder / "build", further)
    (folder / "bundle.tar.gz").write_bytes(body)
    unpacking.unpack(folder / "bundle.tar.gz", folder / "unpacked", TOP)
    return folder / "unpacked"


@pytest.mark.parametrize(
    "hostile",
    [
        member("/etc/cron.d/x"),
        member("../outside"),
        member(f"{TOP}/../../outside"),
        member(f"{TOP}/./x"),
        member(f"{TOP}//x"),
        member("other/x"),
        member(f"{TOP}/a\nb"),
        member(f"{TOP}/" + "x/" * 60 + "x"),
        member(f"{TOP}/link", tarfile.SYMTYPE, "/etc/passwd"),
        member(f"{TOP}/link", tarfile.SYMTYPE, "../../outside"),
        member(f"{TOP}/link", tarfile.SYMTYPE, "nowhere"),
        member(f"{TOP}/link", tarfile.SYMTYPE, "link"),
        member(f"{TOP}/link", tarfile.LNKTYPE, f"{TOP}/VERSION"),
        member(f"{TOP}/link", tarfile.LNKTYPE, "/etc/passwd"),
        member(f"{TOP}/pipe", tarfile.FIFOTYPE),
        member(f"{TOP}/device", tarfile.CHRTYPE),
        member(f"{TOP}/VERSION"),
        member(f"{TOP}/VERSION/x"),
    ],
    ids=lambda hostile: hostile.name[:40].replace("\n", "-") + hostile.linkname,
)
def test_a_hostile_member_is_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    (tmp_path / "outside").mkdir()
    with pytest.raises((Refused, OSError)):
        unpacked(tmp_path, hostile)
    assert not list((tmp_path / "outside").iterdir())


def test_a_file_through_a_link_of_the_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    through = (member(f"{TOP}/way", tarfile.SYMTYPE, "../outside"), member(f"{TOP}/way/x", size=3))
    with pytest.raises((Refused, OSError)):
        unpacked(tmp_path, *through)
    assert not list((tmp_path / "outside").iterdir())


def test_a_link_within_the_bundle_is_kept(tmp_path: Path) -> None:
    link = member(f"{TOP}/python3", tarfile.SYMTYPE, "lib/node/__init__.py")
    assert (unpacked(tmp_path, link) / "python3").read_text() == f"VERSION = {NEW!r}\n"


def test_no_file_brings_rights_along(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, member(f"{TOP}/suid", mode=0o6777), member(f"{TOP}/open", mode=0o666))
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("suid", "open", "maybe-node", "lib")}
    assert modes == {"suid": 0o755, "open": 0o644, "maybe-node": 0o755, "lib": 0o755}


def test_a_bundle_that_grows_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1 << 20)
    with pytest.raises(Refused, match="more than 1 MiB unpacked"):
        unpacked(tmp_path, member(f"{TOP}/zeros", size=2 << 20))


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 20)
    with pytest.raises(Refused, match="more than 20 members"):
        unpacked(tmp_path, *(member(f"{TOP}/{number}") for number in range(20)))


@pytest.mark.parametrize("damage", [lambda body: body[:-200], lambda body: b"x" + body, lambda _: gzip.compress(b"?")])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (tmp_path / "b").write_bytes(damage(bundle(NEW, "", tmp_path / "build", ())))
    with pytest.raises(Refused):
        unpack_whole(tmp_path)


def unpack_whole(folder: Path) -> None:
    unpacking.unpack(folder / "b", folder / "unpacked", TOP)
    unpacking.verify(folder / "unpacked", NEW)


def add(folder: Path) -> None:
    (folder / "lib/more.py").write_text("")


def change(folder: Path) -> None:
    (folder / "lib/node/__init__.py").write_text("")


def remove(folder: Path) -> None:
    (folder / "PYTHON").unlink()


def no_list(folder: Path) -> None:
    (folder / "FILES").unlink()


def nonsense_list(folder: Path) -> None:
    (folder / "FILES").write_text("all of them\n")


@pytest.mark.parametrize("damage", [add, change, remove, no_list, nonsense_list], ids=lambda damage: damage.__name__)
def test_a_version_that_differs_from_its_list_is_not_whole(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    write_version(tmp_path / NEW, NEW)
    unpacking.verify(tmp_path / NEW, NEW)
    damage(tmp_path / NEW)
    with pytest.raises(Refused):
        unpacking.verify(tmp_path / NEW, NEW)


def test_a_version_under_another_name_is_refused(tmp_path: Path) -> None:
    write_version(tmp_path / NEW, NEW)
    with pytest.raises(Refused, match=r"is not of version 0\.9\.0"):
        unpacking.verify(tmp_path / NEW, "0.9.0")


def test_the_stream_of_a_bundle_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 10)
    stream = unpacking.Bounded(io.BytesIO(bytes(20)))
    assert stream.read(10) == bytes(10)
    with pytest.raises(Refused):
        stream.read(1)
