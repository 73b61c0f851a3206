"""An upgrade that is killed at any act leaves a version that serves, and is finished or undone by the next run."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.upgrades.installation import NEW, OLD, Installation
from tests.upgrades.killing import killed_at
from tests.upgrades.releases import Release, trust

Releases = tuple[str, Path]
ENOUGH = 400
"""More acts than an upgrade takes."""


@pytest.fixture
def fresh() -> Iterator[list[Installation]]:
    """Installations of a test, which are removed afterwards."""
    made: list[Installation] = []
    yield made
    for each in made:
        each.remove()


def prepared(fresh: list[Installation], releases: Releases, fault: str) -> Installation:
    """An installation with a local copy and a request for a version with this fault."""
    node = Installation()
    fresh.append(node)
    trust(node)
    with closing(sqlite3.connect(node.layout.data_dir / "copy.db")) as db:
        db.executescript("CREATE TABLE proxies (id); INSERT INTO proxies VALUES (7);")
    node.request(**Release(releases[1], fault=fault).write().order(releases[0]))
    return node


def assert_ended(node: Installation, fault: str) -> None:
    """Check that one version is current and runs, and that nothing is left of the upgrade."""
    node.assert_serves()
    assert node.state is not None
    assert node.running == node.current
    assert node.state["state"] in (("done",) if not fault else ("rolled_back",))
    assert node.current == (OLD if fault else NEW)
    assert not node.layout.journal_file.exists()
    assert not node.layout.upgrader.is_symlink()
    assert not list(node.layout.work.iterdir())
    assert {path.name for path in node.layout.state_dir.iterdir()} <= {"state.json", "bad-versions.json"}
    with closing(sqlite3.connect(node.layout.data_dir / "copy.db")) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("proxies",)]


def kill_at(number: int, fresh: list[Installation], releases: Releases, fault: str) -> bool:
    """Kill an upgrade before this act, then run the program again as its unit does; whether it was killed."""
    node = prepared(fresh, releases, fault)
    was_killed = killed_at(number, node.apply)
    node.assert_serves()
    while node.layout.journal_file.exists() or (node.layout.data_dir / "upgrade/request.json").exists():
        assert node.apply() == 0
    assert_ended(node, fault)
    fresh.remove(node)
    node.remove()
    return was_killed


@pytest.mark.parametrize("number", [3, 17, 24, 31, 38, 42, 46])
def test_an_upgrade_that_is_killed_is_finished(number: int, fresh: list[Installation], releases: Releases) -> None:
    assert kill_at(number, fresh, releases, "")


@pytest.mark.parametrize("number", [45, 52, 60])
def test_a_rollback_that_is_killed_is_finished(number: int, fresh: list[Installation], releases: Releases) -> None:
    assert kill_at(number, fresh, releases, "schema")


@pytest.mark.long
@pytest.mark.parametrize("fault", ["", "schema", "crash"])
def test_no_act_is_one_too_many(fault: str, fresh: list[Installation], releases: Releases) -> None:
    number = 0
    while kill_at(number, fresh, releases, fault):
        number += 1
    assert 40 < number < ENOUGH


@pytest.mark.long
@pytest.mark.parametrize("fault", ["", "schema"])
def test_an_upgrade_that_is_killed_again_and_again_ends(
    fault: str, fresh: list[Installation], releases: Releases
) -> None:
    for step in (1, 3, 7):
        node = prepared(fresh, releases, fault)
        number = 0
        while node.layout.journal_file.exists() or (node.layout.data_dir / "upgrade/request.json").exists():
            killed_at(number, node.apply)
            node.assert_serves()
            number += step
        assert node.running == node.current
        assert node.state is not None
        assert node.state["state"] in ("done", "rolled_back", "refused")
