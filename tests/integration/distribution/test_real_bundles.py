"""Bundles of the real node: libraries by pip, and this machine's Python as a stand-in for a relocatable CPython."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from master.distribution.bundles.build import LOCK_NAME, Build, build
from master.distribution.bundles.contents import SOURCES
from master.distribution.bundles.platforms import Platform
from master.distribution.bundles.runtime import read_runtime_name
from shared.release.manifest import Manifest
from tests.release.bundles import CREATED_AT, KEY, LIBC, MACHINE, PYTHON

THIN_LIMIT = 10_000_000

pytestmark = pytest.mark.long


def stand_in(folder: Path) -> Path:
    """Pack this machine's Python as python-build-standalone packs its own."""
    prefix = Path(sys.base_prefix)
    name = f"cpython-{platform.python_version()}+20260101-{MACHINE}-unknown-linux-{LIBC}-install_only.tar.gz"
    library = prefix / "lib" / f"python{PYTHON}"
    shared = prefix / "lib" / str(sysconfig.get_config_var("INSTSONAME") or "none")
    with tarfile.open(folder / name, "w:gz", compresslevel=1) as archive:
        archive.add(Path(sys.executable).resolve(), f"python/bin/python{PYTHON}")
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{PYTHON}"
        archive.addfile(link)
        archive.add(library, f"python/lib/python{PYTHON}", filter=without_packages)
        if shared.suffix != ".a" and shared.is_file():
            archive.add(shared, f"python/lib/{shared.name}")
    return folder / name


def without_packages(each: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what was installed beside the standard library."""
    return None if "site-packages" in each.name or "dist-packages" in each.name else each


def built(folder: Path, **given: object) -> Manifest:
    values = {
        "out": folder / "out",
        "version": "0.2.0",
        "min_upgradable_from": "0.1.0",
        "created_at": CREATED_AT,
        "private_pem": KEY,
        "platforms": [],
        "lock": SOURCES / LOCK_NAME,
    }
    return build(Build(**values | given), print)  # type: ignore[arg-type] # members of a test


def unpacked(folder: Path, manifest: Manifest) -> Path:
    with tarfile.open(folder / "out" / manifest.files[0].name) as archive:
        archive.extractall(folder, filter="data")
    return folder / "maybe-node-0.2.0"


def run(command: list[str | Path], **env: str) -> str:
    """Run without a network, and with nothing of this environment."""
    program = shutil.which("unshare")
    alone = [program, "--net", "--map-root-user"] if program else []
    done = subprocess.run([*alone, *command], env=env, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_pip_downloads_the_locked_libraries_and_the_thin_bundle_is_small(tmp_path: Path) -> None:
    manifest = built(tmp_path, platforms=[Platform(PYTHON, MACHINE, LIBC)], is_strict=True)
    assert manifest.files[0].size < THIN_LIMIT
    folder = unpacked(tmp_path, manifest)
    path = {"PATH": os.environ["PATH"], "MAYBE_NODE_PYTHON": sys.executable}
    assert run([folder / "maybe-node", "--version"], **path) == "maybe-node 0.2.0\n"
    everything = "import sys; sys.path.insert(0, 'lib'); import node.app, node.enrolment.server, aio_pika, uvicorn"
    assert run(["sh", "-c", f'cd {folder} && "{sys.executable}" -I -S -B -c "{everything}"'], **path) == ""


def test_a_platform_for_which_pip_finds_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text(f"pycparser==3.12 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Exception, match=r"Python 3\.11 on"):
        built(tmp_path, platforms=[Platform("3.11", MACHINE, LIBC)], lock=tmp_path / "lock.txt", is_strict=True)


def test_a_full_bundle_runs_without_any_python_of_the_host(tmp_path: Path) -> None:
    manifest = built(tmp_path, runtimes=[read_runtime_name(stand_in(tmp_path))])
    folder = unpacked(tmp_path, manifest)
    assert run([folder / "maybe-node", "--version"], PATH="/nonexistent") == "maybe-node 0.2.0\n"
