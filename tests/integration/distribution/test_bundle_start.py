"""A node starts from the files of its bundle alone."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.release.bundles import Release, make_release


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_release(tmp_path_factory.mktemp("bundles"), "0.2.0")


@pytest.fixture(scope="module")
def unpacked(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(release.bundle) as archive:
        archive.extractall(folder, filter="data")
    return folder / "maybe-node-0.2.0"


def test_the_program_of_a_bundle_runs_and_knows_its_version(unpacked: Path) -> None:
    done = subprocess.run(
        [unpacked / "maybe-node", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout == "maybe-node 0.2.0\n"


def test_every_file_of_a_bundle_is_the_one_that_its_list_names(unpacked: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "FILES"], cwd=unpacked, check=False)
    listed = {line[66:] for line in (unpacked / "FILES").read_text().splitlines()}
    there = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert (done.returncode, there - listed - {path for path in there if "__pycache__" in path}) == (0, {"FILES"})


def test_the_launcher_finds_its_folder_through_links_and_without_a_path(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(unpacked)
    env = {"PATH": os.environ["PATH"]}
    for words, folder in (
        ([str(tmp_path / "current/maybe-node")], tmp_path),
        (["sh", "maybe-node"], unpacked),
        (["./maybe-node"], unpacked),
    ):
        done = subprocess.run([*words, "--version"], cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert (words, done.stdout) == (words, "maybe-node 0.2.0\n")
