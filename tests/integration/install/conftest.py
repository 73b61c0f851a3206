"""A bare root for each test, and two releases of a stand-in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.install.releases import Release, stand_in
from tests.install.roots import PYTHON, Root, require_roots, serving

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    require_roots()
    (tmp_path / "root").mkdir()
    made = Root(tmp_path / "root")
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture
def release() -> Release:
    return released("0.2.0")


def released(version: str, *, behaviour: str = ":", extra: str = "", key: Ed25519PrivateKey = KEY) -> Release:
    """A release with one thin bundle, for the Python that runs the tests."""
    made = Release(version, key)
    python = PYTHON.removeprefix("python")
    bundle = stand_in(version, python=python, behaviour=behaviour, extra=extra)
    made.add(bundle, kind="thin", python=python, machine="x86_64", libc="gnu")
    return made


@pytest.fixture
def served(root: Root, release: Release) -> Iterator[list[str]]:
    """The release is served; the paths that were asked for."""
    with serving(root, release.files) as asked:
        yield asked
