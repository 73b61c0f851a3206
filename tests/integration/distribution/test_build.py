"""Building bundles: reproducible, complete, and safe against hostile wheels and runtimes."""

import os
import stat
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from master.distribution.bundles.build import build
from master.distribution.bundles.platforms import Platform
from master.distribution.bundles.runtime import read_runtime_name
from master.distribution.bundles.verification import faults
from master.distribution.releases import read_release
from master.errors import BundleError
from shared.release.manifest import MANIFEST, read_manifest
from shared.release.signing import public_key
from tests.release.bundles import KEY, change_byte
from tests.release.inputs import (
    HOST,
    add_member,
    make_build,
    make_runtime,
    make_sources,
    make_wheel,
    member,
    write_lock,
)

THIN = "maybe-node-0.2.0-thin-cp311-x86_64-gnu.tar.gz"
FULL = "maybe-node-0.2.0-full-x86_64-gnu.tar.gz"


def silent(_: str) -> None:
    """Say nothing."""


def names_in(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return {each.name.partition("/")[2]: each for each in archive.getmembers()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_two_builds_from_the_same_input_are_the_same_bytes(tmp_path: Path) -> None:
    wanted = make_build(tmp_path, runtimes=[read_runtime_name(make_runtime(tmp_path / "runtime"))])
    build(wanted, silent)
    os.utime(tmp_path / "sources/node/__main__.py", (1, 1))
    (tmp_path / "sources/node/__main__.py").chmod(0o600)
    build(replace(wanted, out=tmp_path / "again"), silent)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
    assert {THIN, FULL, "manifest.json", "manifest.json.sig", "release-keys"} == set(contents(tmp_path / "out"))


def test_a_bundle_has_the_node_its_libraries_and_units_and_nothing_that_is_not_needed(tmp_path: Path) -> None:
    build(make_build(tmp_path), silent)
    files = {name for name, each in names_in(tmp_path / "out" / THIN).items() if each.isreg()}
    assert files == {
        *("VERSION", "PYTHON", "LICENSE", "FILES", "maybe-node", "start.py"),
        *("lib/demo/__init__.py", "lib/node/__init__.py", "lib/node/__main__.py", "lib/shared/__init__.py"),
        *("lib/maybe_proxy-0.2.0.dist-info/METADATA", "systemd/maybe-node.service"),
    }


def test_everything_in_a_bundle_belongs_to_root_at_the_moment_of_the_manifest(tmp_path: Path) -> None:
    manifest = build(make_build(tmp_path), silent)
    found = names_in(tmp_path / "out" / THIN).values()
    assert {(each.uid, each.gid, each.uname, each.mtime) for each in found} == {(0, 0, "root", manifest.mtime)}
    assert {each.mode for each in found} == {0o644, 0o755}


def test_a_full_bundle_starts_with_its_own_python(tmp_path: Path) -> None:
    runtimes = [read_runtime_name(make_runtime(tmp_path / "runtime"))]
    manifest = build(make_build(tmp_path, platforms=[], runtimes=runtimes), silent)
    assert [(file.kind, file.python) for file in manifest.files] == [("full", None)]
    with tarfile.open(tmp_path / "out" / FULL) as archive:
        archive.extractall(tmp_path, filter="data")
    done = subprocess.run([tmp_path / "maybe-node-0.2.0/maybe-node"], capture_output=True, check=True, env={})
    assert done.stdout == b"stand-in\n"
    assert "python/bin/python3" in (tmp_path / "maybe-node-0.2.0/FILES").read_text()


def test_a_thin_bundle_says_which_python_is_missing(tmp_path: Path) -> None:
    build(make_build(tmp_path), silent)
    with tarfile.open(tmp_path / "out" / THIN) as archive:
        archive.extractall(tmp_path, filter="data")
    done = subprocess.run(
        [tmp_path / "maybe-node-0.2.0/maybe-node"],
        capture_output=True,
        check=False,
        env={"PATH": "/nonexistent"},
    )
    assert (done.returncode, b"Python 3.11 is needed" in done.stderr) == (1, True)


def test_another_version_of_python_is_refused(tmp_path: Path) -> None:
    build(make_build(tmp_path), silent)
    with tarfile.open(tmp_path / "out" / THIN) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "maybe-node-0.2.0/PYTHON").write_text("3.99\n")
    done = subprocess.run(
        [tmp_path / "maybe-node-0.2.0/maybe-node"],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "MAYBE_NODE_PYTHON": sys.executable},
    )
    assert (done.returncode, b"not Python 3.99" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../evil.py", stat.S_IFREG | 0o644),
        ("demo/../../evil.py", stat.S_IFREG | 0o644),
        ("/etc/evil", stat.S_IFREG | 0o644),
        ("demo\\..\\evil.py", stat.S_IFREG | 0o644),
        ("demo/./x.py", stat.S_IFREG | 0o644),
        ("demo/x\n0000  y", stat.S_IFREG | 0o644),
        ("demo/x\x00.py", stat.S_IFREG | 0o644),
        ("demo/" + "x" * 300, stat.S_IFREG | 0o644),
        ("demo/link", stat.S_IFLNK | 0o777),
        ("demo/fifo", stat.S_IFIFO | 0o644),
        ("demo/root", stat.S_IFREG | 0o4755),
        ("demo/group", stat.S_IFREG | 0o2755),
        ("demo/__init__.py/x", stat.S_IFREG | 0o644),
    ],
)
def test_a_dangerous_member_of_a_wheel_ends_the_build(tmp_path: Path, name: str, mode: int) -> None:
    wanted = make_build(tmp_path, is_strict=True)
    wheel = tmp_path / "wheels/demo-1.0-py3-none-any.whl"
    add_member(wheel, name, mode=mode)
    write_lock(wanted.lock, wheel)
    with pytest.raises(BundleError, match=r"demo-1\.0|bundle|Python"):
        build(wanted, silent)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_wheel_that_is_not_the_locked_one_ends_the_build(tmp_path: Path) -> None:
    wanted = make_build(tmp_path, is_strict=True)
    make_wheel(tmp_path / "wheels", files={"demo/__init__.py": b"evil = 1\n"})
    with pytest.raises(BundleError, match="SHA-256"):
        build(wanted, silent)


def test_a_file_that_is_no_archive_ends_the_build(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels")
    wheel.write_bytes(b"nonsense")
    wanted = make_build(tmp_path, is_strict=True)
    (tmp_path / "wheels/demo-1.0-py3-none-any.whl").write_bytes(b"nonsense")
    write_lock(wanted.lock, tmp_path / "wheels/demo-1.0-py3-none-any.whl")
    with pytest.raises(BundleError, match="cannot be read"):
        build(wanted, silent)


def test_two_libraries_with_one_file_end_the_build(tmp_path: Path) -> None:
    one = make_wheel(tmp_path / "wheels", "demo-1.0-py3-none-any.whl")
    other = make_wheel(tmp_path / "wheels", "other-1.0-py3-none-any.whl", {"demo/__init__.py": b""})
    with pytest.raises(BundleError, match=r"two files are called demo/__init__\.py"):
        build(make_build(tmp_path, is_strict=True, lock=write_lock(tmp_path / "both.txt", one, other)), silent)


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil", size=1),
        member("python/../../evil", size=1),
        member("/etc/evil", size=1),
        member("elsewhere/evil", size=1),
        member("python/bin/root", mode=0o4755, size=1),
        member("python/lib/group", mode=0o2755, size=1),
        member("python/lib/passwd", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        member("python/lib/up", kind=tarfile.SYMTYPE, target="../../up"),
        member("python/lib/hard", kind=tarfile.LNKTYPE, target="python/bin/python3.11"),
        member("python/lib/fifo", kind=tarfile.FIFOTYPE),
        member("python/lib/disk", kind=tarfile.BLKTYPE),
        member("python/lib/x\ny", size=1),
    ],
    ids=lambda each: each.name,
)
def test_a_dangerous_member_of_a_runtime_ends_the_build(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    runtimes = [read_runtime_name(make_runtime(tmp_path / "runtime", [bad]))]
    with pytest.raises(BundleError, match=r"cpython-3\.11"):
        build(make_build(tmp_path, platforms=[], runtimes=runtimes), silent)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_below_a_link_of_a_runtime_ends_the_build(tmp_path: Path) -> None:
    bad = [
        member("python/lib/d", kind=tarfile.SYMTYPE, target="python3.11/os.py"),
        member("python/lib/d/evil", size=1),
    ]
    runtimes = [read_runtime_name(make_runtime(tmp_path / "runtime", bad))]
    with pytest.raises(BundleError, match="is a file and the folder of"):
        build(make_build(tmp_path, platforms=[], runtimes=runtimes), silent)


@pytest.mark.parametrize(
    "name",
    [
        "python.tar.gz",
        "cpython-3.10.1+2-x86_64-unknown-linux-gnu-install_only.tar.gz",
        "cpython-3.11.1+2-riscv64-unknown-linux-gnu-install_only.tar.gz",
        "cpython-3.11.1+2-x86_64-apple-darwin-install_only.tar.gz",
    ],
)
def test_the_name_of_a_runtime_tells_what_it_is_for(name: str) -> None:
    with pytest.raises(BundleError, match="a runtime is called"):
        read_runtime_name(Path(name))


def test_a_platform_without_wheels_is_left_out_unless_it_was_named(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")
    (tmp_path / "only").mkdir()
    wheel.rename(tmp_path / "only" / wheel.name)
    lock = write_lock(tmp_path / "only.txt", tmp_path / "only" / wheel.name)
    both = [HOST, Platform("3.11", "aarch64", "musl")]
    wanted = make_build(tmp_path, wheels=tmp_path / "only", lock=lock, platforms=both)
    lines: list[str] = []
    assert [file.name for file in build(wanted, lines.append).files] == [THIN]
    assert any("aarch64 with musl: no wheel of demo 1.0" in line for line in lines)
    with pytest.raises(BundleError, match="no wheel of demo"):
        build(replace(wanted, is_strict=True), silent)


def test_the_version_before_is_kept_beside_the_new_one_and_an_older_build_never_takes_its_place(tmp_path: Path) -> None:
    wanted = make_build(tmp_path)
    build(wanted, silent)
    newer = replace(wanted, version="0.3.0", sources=make_sources(tmp_path / "newer", "two"))
    build(newer, silent)
    build(replace(wanted, version="0.1.5"), silent)
    keys = [public_key(KEY)]
    assert read_release(tmp_path / "out", keys).version == "0.3.0"
    for version in ("0.2.0", "0.1.5"):
        kept = read_release(tmp_path / "out/versions" / version, keys)
        assert (kept.version, list(faults(kept))) == (version, [])
    assert not (tmp_path / "out" / THIN).exists()


def test_a_build_of_the_same_version_replaces_it(tmp_path: Path) -> None:
    wanted = make_build(tmp_path)
    first = build(wanted, silent)
    again = build(replace(wanted, sources=make_sources(tmp_path / "other", "two")), silent)
    assert first.files[0].sha256 != again.files[0].sha256
    assert list(faults(read_release(tmp_path / "out", [public_key(KEY)]))) == []
    assert not (tmp_path / "out/versions").exists()


def test_verification_names_the_file_that_differs(tmp_path: Path) -> None:
    build(make_build(tmp_path), silent)
    change_byte(tmp_path / "out" / THIN)
    assert [THIN in fault for fault in faults(read_release(tmp_path / "out", [public_key(KEY)]))] == [True]
    assert read_manifest((tmp_path / "out" / MANIFEST).read_bytes()).version == "0.2.0"
