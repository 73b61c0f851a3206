"""Where the installer takes things from, and by which programs."""

from pathlib import Path

import pytest

from tests.install.releases import Release, stand_in
from tests.install.roots import PROGRAMS, PYTHON, URL, Root, require_roots, serving
from tests.integration.install.conftest import KEY
from tests.integration.install.test_install import succeeded


@pytest.mark.parametrize("programs", ["python3 wget", "python3"])
def test_wget_or_python_do_where_there_is_no_curl(tmp_path: Path, release: Release, programs: str) -> None:
    require_roots()
    root = Root(tmp_path)
    root.open(f"{PROGRAMS} {programs}")
    with serving(root, release.files):
        assert "would fetch" in succeeded(root.install(release.script(URL), "--print"))
    root.close()


def test_without_a_python_openssl_checks_the_signature_and_the_full_bundle_is_taken(tmp_path: Path) -> None:
    require_roots()
    root = Root(tmp_path)
    root.open(f"{PROGRAMS} curl openssl")
    release = Release("0.2.0", KEY)
    runtime = {"python/bin/python3": b"#!/bin/sh\nexit 0\n"}
    release.add(stand_in("0.2.0", runtime=runtime), kind="full", python=None, machine="x86_64", libc="gnu")
    release.add(b"x", kind="thin", python=PYTHON.removeprefix("python"), machine="x86_64", libc="gnu")
    with serving(root, release.files):
        assert "full bundle" in succeeded(root.install(release.script(URL)))
        release.files["manifest.json.sig"] = release.files["manifest.json.sig"][:-12] + b"AAAAAAAAA==\n"
        assert "no valid signature" in root.install(release.script(URL)).stderr
    root.close()


def test_one_file_is_enough_without_a_network(root: Root, release: Release) -> None:
    (root.path / "tmp/all.tar").write_bytes(release.exported())
    assert "install.sh" in succeeded(root.run("tar", "-tf", "/tmp/all.tar"))
    succeeded(root.run("tar", "-xf", "/tmp/all.tar", "-C", "/tmp", "install.sh"))
    assert "0.2.0 is installed" in succeeded(root.run("sh", "/tmp/install.sh", "--offline", "/tmp/all.tar"))
