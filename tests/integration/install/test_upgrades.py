"""Another version by the line. What happens on the way is the node's own program (tests of node.upgrade)."""

import os

from tests.install.roots import URL, Root, serving
from tests.install.systemctl import add_systemd, calls
from tests.integration.install.conftest import released
from tests.integration.install.test_install import succeeded


def installed(root: Root) -> tuple[str, set[str]]:
    """The current version, and those that are there."""
    folder = root.path / "opt/maybe-node"
    return os.readlink(folder / "current"), set(os.listdir(folder / "versions"))


def test_a_newer_version_is_handed_to_the_present_one_and_the_present_one_stays_beside_it(root: Root) -> None:
    add_systemd(root)
    for version in ("0.2.0", "0.2.1", "0.10.0"):
        release = released(version)
        with serving(root, release.files):
            succeeded(root.install(release.script(URL)))
    assert installed(root) == ("versions/0.10.0", {"0.2.1", "0.10.0"})
    upgrades = [line for line in root.calls() if "apply-upgrade" in line]
    assert upgrades == [f"root apply-upgrade --unpacked {version} --locked" for version in ("0.2.1", "0.10.0")]
    assert not any(call.startswith("restart") for call in calls(root))
    older = released("0.2.1")
    with serving(root, older.files):
        succeeded(root.install(older.script(URL), "--allow-downgrade"))
    assert installed(root) == ("versions/0.2.1", {"0.2.1", "0.10.0"})


def test_a_version_that_fails_leaves_the_present_one_and_its_reason(root: Root) -> None:
    add_systemd(root)
    old, new = (
        released("0.2.0", behaviour="echo 'maybe-node: port 8000 no longer accepts' >&2; exit 1"),
        released("0.2.1"),
    )
    with serving(root, old.files):
        succeeded(root.install(old.script(URL)))
    before = root.listing()
    with serving(root, new.files):
        done = root.install(new.script(URL))
    assert done.returncode == 1
    assert "0.2.0 stays, since the upgrade to 0.2.1 failed: maybe-node: port 8000 no longer accepts" in done.stderr
    assert root.listing() == before | {"tmp": root.listing()["tmp"]}


def test_an_upgrade_that_was_interrupted_is_finished_or_undone_first(root: Root) -> None:
    release = released("0.2.0")
    with serving(root, release.files):
        succeeded(root.install(release.script(URL)))
        root.write("var/lib/maybe-node-upgrade/journal.json", "{}")
        root.calls()
        assert "finish or undo the upgrade that was interrupted" in succeeded(root.install(release.script(URL)))
    assert root.calls() == ["root apply-upgrade"]
    assert not (root.path / "var/lib/maybe-node-upgrade/journal.json").exists()
