"""Two runs at once, and runs that are ended in the middle."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from threading import Event

import pytest

from tests.install.releases import Release
from tests.install.roots import URL, Root, serving


class HeldFiles(Mapping[str, bytes]):
    """Files of which the bundle is given only when `given` is set."""

    def __init__(self, release: Release) -> None:
        self._files, self._bundle = release.files, release.bundle
        self.asked, self.given = Event(), Event()

    def __getitem__(self, name: str) -> bytes:
        if name == self._bundle:
            self.asked.set()
            self.given.wait(30)
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@pytest.fixture
def held(root: Root, release: Release) -> Iterator[HeldFiles]:
    files = HeldFiles(release)
    root.write("srv/mn", release.script(URL))
    with serving(root, files):
        yield files
        files.given.set()


def begun(root: Root, held: HeldFiles) -> "subprocess.Popen[str]":
    """A run that waits for its bundle."""
    command = [*root.prefix, "env", "-i", "PATH=/usr/bin:/bin", "sh", "/srv/mn"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert held.asked.wait(30)
    return process


def test_a_second_run_is_refused_while_one_is_at_work(root: Root, held: HeldFiles) -> None:
    first = begun(root, held)
    second = root.run("sh", "/srv/mn")
    assert second.returncode == 1
    assert "another installation or upgrade is under way on this host" in second.stderr
    held.given.set()
    assert "0.2.0 is installed" in first.communicate(timeout=60)[0]
    assert first.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_nothing_behind(root: Root, held: HeldFiles, number: signal.Signals) -> None:
    before = root.listing(deep=False)
    process = begun(root, held)
    os.killpg(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert root.listing(deep=False) == before


def test_a_run_after_one_that_was_killed_completes_what_that_one_began(root: Root, held: HeldFiles) -> None:
    before = root.listing(deep=False)
    process = begun(root, held)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    held.given.set()
    assert root.run("sh", "/srv/mn").returncode == 0
    assert root.run("sh", "/srv/mn", "--uninstall", "--purge").returncode == 0
    assert {name for name in root.listing(deep=False) if not name.startswith("tmp/")} == set(before)
