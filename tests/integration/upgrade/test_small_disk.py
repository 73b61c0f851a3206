"""A disk that is too small, or that the new version fills, leaves the old version serving with the reason."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.sandbox import SmallDisk, in_child
from tests.upgrades.installation import NEW, OLD, Installation
from tests.upgrades.releases import Release, served, trust

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


def with_disk(place: str, size: str, act: Callable[[Installation], None]) -> None:
    """Run `act` on an installation of which one folder is a small disk."""

    root = Path(tempfile.mkdtemp(prefix="maybe-small-"))

    def within() -> None:
        folder = root / place
        folder.mkdir(parents=True)
        SmallDisk(folder, size)
        folder.chmod(0o755)
        node = Installation(root)
        trust(node)
        act(node)

    try:
        in_child(within)
    finally:
        shutil.rmtree(root)


def test_a_disk_without_room_for_the_version_is_noticed_before_the_download(tmp_path: Path) -> None:
    with served(tmp_path / "bundle") as url:
        order = Release(tmp_path / "bundle").write().order(url)

        def act(node: Installation) -> None:
            node.request(**order)
            assert node.apply() == 0
            assert node.state is not None
            assert "MiB free, but the upgrade needs 16 MiB" in node.state["reason"]
            assert (node.state["state"], node.current, node.restarts) == ("refused", OLD, [])

        with_disk("opt", "1m", act)


def test_a_version_that_fills_the_disk_is_rolled_back(tmp_path: Path) -> None:
    with served(tmp_path / "bundle") as url:
        order = Release(tmp_path / "bundle", fault="fills").write().order(url)

        def act(node: Installation) -> None:
            node.request(**order)
            assert node.apply() == 0
            node.assert_serves()
            assert node.state is not None
            assert (node.state["state"], node.current, node.running) == ("rolled_back", OLD, OLD)
            assert node.state["reason"]

        with_disk("var", "2m", act)


def test_a_disk_that_stays_full_still_brings_the_old_version_back(tmp_path: Path) -> None:
    with served(tmp_path / "bundle") as url:
        order = Release(tmp_path / "bundle", fault="deaf").write().order(url)

        def act(node: Installation) -> None:
            node.request(**order)
            program = node.systemctl.read_text()
            filling = f'cat /dev/zero > "{node.root}/var/filler" 2>/dev/null\n'
            node.systemctl.write_text(program.replace("start() {\n", "start() {\n" + filling))
            assert node.apply() == 0
            node.assert_serves()
            assert node.state is not None
            assert (node.state["state"], node.current, node.state["version"]) == ("rolled_back", OLD, NEW)

        with_disk("var", "2m", act)
