"""An upgrade ends with the new version serving, or with the old one and a reason."""

from pathlib import Path

import pytest

from node.upgrade import downloads
from shared.release.signing import new_key
from tests.upgrades.installation import NEW, OLD, Installation
from tests.upgrades.releases import Release, trust

Releases = tuple[str, Path]


def upgrade(node: Installation, releases: Releases, release: Release, way: str = "", **members: object) -> str:
    """Carry out a request; return the reason of its end."""
    url, _ = releases
    node.request(**release.order(f"{url}{way}", **members))
    assert node.apply(*(("--restart-seconds", "0.3") if release.fault == "hang" else ())) == 0
    assert node.state is not None
    node.assert_serves()
    return str(node.state["reason"])


def assert_untouched(node: Installation, state: str = "refused") -> None:
    assert node.state is not None
    assert (node.state["state"], node.state["from"], node.current, node.running) == (state, OLD, OLD, OLD)
    assert not node.layout.journal_file.exists()
    assert not list(node.layout.work.iterdir())
    assert not (node.layout.data_dir / "upgrade/request.json").exists()


def test_a_signed_version_is_installed_and_serves(node: Installation, releases: Releases) -> None:
    assert upgrade(node, releases, Release(releases[1]).write()) == ""
    assert node.state is not None
    assert (node.state["id"], node.state["state"], node.state["version"], node.state["from"]) == (1, "done", NEW, OLD)
    assert (node.current, node.running, node.restarts) == (NEW, NEW, ["restart maybe-node.service"])
    assert node.layout.previous.readlink() == Path(f"versions/{OLD}")
    assert not node.layout.upgrader.is_symlink()
    assert not (node.layout.data_dir / "upgrade/request.json").exists()
    assert list((node.layout.current / "lib/node/__pycache__").iterdir())
    assert len((node.layout.current / ".bundle").read_text().split()) == 3


def test_the_agent_is_examined_as_its_own_user(node: Installation, releases: Releases) -> None:
    upgrade(node, releases, Release(releases[1]).write())
    checked = node.layout.data_dir / "checked-by"
    assert (int(checked.read_text()), checked.stat().st_uid) == (node.owner, node.owner)


def test_the_same_request_again_changes_nothing(node: Installation, releases: Releases) -> None:
    release = Release(releases[1]).write()
    upgrade(node, releases, release)
    upgrade(node, releases, release)
    assert node.restarts == ["restart maybe-node.service"]


def test_a_third_version_leaves_two_on_disk(node: Installation, releases: Releases) -> None:
    upgrade(node, releases, Release(releases[1]).write())
    upgrade(node, releases, Release(releases[1], "0.3.0").write(), id_=2)
    assert sorted(folder.name for folder in node.layout.versions.iterdir()) == [NEW, "0.3.0"]


def test_units_that_the_new_version_changes_are_replaced(node: Installation, releases: Releases) -> None:
    unit = node.layout.units_dir / "maybe-node.service"
    unit.write_text(f"# of {OLD}\n")
    upgrade(node, releases, Release(releases[1]).write())
    assert unit.read_text() == f"# of {NEW}\n"
    assert node.restarts == ["daemon-reload", "restart maybe-node.service"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("crash", f"the agent of version {NEW} did not start"),
        ("hang", f"the agent of version {NEW} did not start"),
        ("deaf", "port 20000 accepted before, and does not now"),
        ("endless", "File size limit exceeded"),
    ],
)
def test_a_version_that_does_not_serve_is_rolled_back(
    node: Installation, releases: Releases, fault: str, reason: str
) -> None:
    unit = node.layout.units_dir / "maybe-node.service"
    unit.write_text(f"# of {OLD}\n")
    assert reason in upgrade(node, releases, Release(releases[1], fault=fault).write())
    assert_untouched(node, "rolled_back")
    assert not (node.layout.versions / NEW).exists()
    assert unit.read_text() == f"# of {OLD}\n"


def test_a_version_that_does_not_even_start_is_never_switched_to(node: Installation, releases: Releases) -> None:
    assert "maybe-node --version ended with 3" in upgrade(node, releases, Release(releases[1], fault="broken").write())
    assert_untouched(node)
    assert node.restarts == []
    assert not (node.layout.versions / NEW).exists()


def test_a_version_that_was_rolled_back_is_not_tried_twice(node: Installation, releases: Releases) -> None:
    release = Release(releases[1], fault="deaf").write()
    upgrade(node, releases, release)
    restarts = len(node.restarts)
    assert "was rolled back on this node before: port 20000" in upgrade(node, releases, release, id_=2)
    assert len(node.restarts) == restarts
    assert_untouched(node)


def test_a_version_that_changes_the_schema_leaves_the_local_copy_as_it_was(
    node: Installation, releases: Releases
) -> None:
    import sqlite3
    from contextlib import closing

    copy = node.layout.data_dir / "copy.db"
    with closing(sqlite3.connect(copy)) as db:
        db.executescript("CREATE TABLE proxies (id); INSERT INTO proxies VALUES (7);")
    node.own_data()
    upgrade(node, releases, Release(releases[1], fault="schema").write())
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("proxies",)]
        assert db.execute("SELECT id FROM proxies").fetchall() == [(7,)]
    assert copy.stat().st_uid == node.owner
    assert_untouched(node, "rolled_back")


def test_a_manifest_that_a_stranger_signed_is_refused(node: Installation, releases: Releases) -> None:
    assert "signed by" in upgrade(node, releases, Release(releases[1], key=new_key()).write())
    assert_untouched(node)


def test_a_lower_version_is_installed_only_when_that_is_asked_for(node: Installation, releases: Releases) -> None:
    release = Release(releases[1], "0.0.9", least="0.0.1").write()
    assert upgrade(node, releases, release) == (
        f"version 0.0.9 is older than the installed {OLD}, and no downgrade was requested"
    )
    assert_untouched(node)
    assert upgrade(node, releases, release, id_=2, downgrade=True) == ""
    assert node.current == "0.0.9"


def test_a_version_that_needs_one_between_is_refused(node: Installation, releases: Releases) -> None:
    reason = upgrade(node, releases, Release(releases[1], "0.3.0", least=NEW).write())
    assert reason == f"version 0.3.0 needs {NEW} or later to be installed before, but {OLD} is"
    assert_untouched(node)


def test_another_manifest_than_the_requested_one_is_refused(node: Installation, releases: Releases) -> None:
    reason = upgrade(node, releases, Release(releases[1]).write(), sha256="0" * 64)
    assert "has not the requested SHA-256" in reason
    assert_untouched(node)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda body: body[:-20] + bytes(1) + body[-19:], "has not the SHA-256"),
        (lambda body: body[:-20], "bytes"),
        (lambda body: body + b"x", "more than"),
    ],
    ids=["a changed byte", "a truncated bundle", "a longer bundle"],
)
def test_a_bundle_that_is_not_the_signed_one_is_refused(
    node: Installation, releases: Releases, damage: object, reason: str
) -> None:
    release = Release(releases[1]).write(change=damage)  # pyright: ignore[reportArgumentType]
    assert reason in upgrade(node, releases, release)
    assert_untouched(node)


@pytest.mark.parametrize("way", ["/silent", "/dripping", "/endless", "/to-file", "/nowhere"])
def test_a_server_that_stalls_or_leads_elsewhere_is_given_up(
    node: Installation, releases: Releases, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "STALL_S", 0.2)
    monkeypatch.setattr(downloads, "SMALL_S", 0.5)
    assert upgrade(node, releases, Release(releases[1]).write(), way)
    assert_untouched(node)


def test_a_redirect_to_http_is_followed(node: Installation, releases: Releases) -> None:
    assert upgrade(node, releases, Release(releases[1]).write(), "/moved") == ""


def test_a_server_that_is_away_is_named(node: Installation, releases: Releases) -> None:
    order = Release(releases[1]).write().order("http://127.0.0.1:9")
    node.request(**order)
    assert node.apply() == 0
    assert node.state is not None
    assert "http://127.0.0.1:9/manifest.json cannot be fetched: Connection refused" in node.state["reason"]


def test_an_upgrade_by_hand_passes_the_same_checks(node: Installation) -> None:
    node.install(NEW)
    assert node.apply("--unpacked", NEW) == 0
    assert (node.current, node.running, node.state) == (NEW, NEW, None)
    node.install("0.3.0", "deaf")
    assert node.apply("--unpacked", "0.3.0") == 1
    assert (node.current, node.running, node.state) == (NEW, NEW, None)


def test_an_upgrade_by_hand_refuses_a_damaged_or_older_version(node: Installation) -> None:
    node.install(NEW)
    (node.layout.versions / NEW / "maybe-node").write_text("#!/bin/sh\n")
    assert node.apply("--unpacked", NEW) == 1
    node.install("0.0.9")
    assert node.apply("--unpacked", "0.0.9") == 1
    assert (node.current, node.restarts) == (OLD, [])
    assert node.apply("--unpacked", "0.0.9", "--allow-downgrade") == 0


def test_an_installation_of_one_user_is_upgraded_without_root(releases: Releases) -> None:
    node = Installation(is_user=True)
    try:
        trust(node)
        assert upgrade(node, releases, Release(releases[1]).write()) == ""
        assert (node.current, node.running, node.restarts) == (NEW, NEW, ["--user restart maybe-node.service"])
        assert node.layout.state_file == node.root / ".local/state/maybe-node-upgrade/state.json"
    finally:
        node.remove()
