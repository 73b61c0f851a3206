"""The same version again: damage is mended, and nothing else is touched."""

from tests.install.releases import Release
from tests.install.roots import URL, Root
from tests.install.systemctl import add_systemd, calls
from tests.integration.install.test_install import succeeded

CODE = "opt/maybe-node/versions/0.2.0"


def test_what_differs_is_mended_and_the_service_is_not_restarted(
    root: Root, release: Release, served: list[str]
) -> None:
    add_systemd(root)
    succeeded(root.install(release.script(URL)))
    whole = root.listing(deep=False)
    texts = {name: root.text(name) for name in (f"{CODE}/lib/node/app.py", "usr/local/bin/maybe-node")}
    kept = {name: root.listing()[name] for name in ("etc/maybe-node/node.env", f"{CODE}/lib/node/__init__.py")}
    calls(root)

    (root.path / CODE / "lib/node/app.py").write_text("SERVES = False\n")
    (root.path / CODE / "lib/node/stray.py").write_text("")
    (root.path / CODE / "LICENSE").unlink()
    next((root.path / CODE / "lib/node/__pycache__").glob("app.*.pyc")).write_bytes(b"")
    (root.path / "etc/systemd/system/maybe-node.service").unlink()
    (root.path / "usr/local/bin/maybe-node").write_text("")
    (root.path / "var/lib/maybe-node").chmod(0o755)
    told = succeeded(root.install(release.script(URL)))

    for change in ("app.py", "LICENSE", "stray.py", ".pyc", "maybe-node.service", "/usr/local/bin/maybe-node", "0700"):
        assert change.replace("0700", "mode 700") in told
    assert root.listing(deep=False) == whole
    assert {name: root.text(name) for name in texts} == texts
    assert {name: root.listing()[name] for name in kept} == kept
    assert calls(root) == ["daemon-reload"]
    assert "nothing was changed" in succeeded(root.install(release.script(URL)))


def test_a_stopped_service_is_started_and_leftovers_of_a_run_that_was_killed_are_removed(
    root: Root, release: Release, served: list[str]
) -> None:
    add_systemd(root)
    succeeded(root.install(release.script(URL)))
    (root.path / "run/systemctl/maybe-node.service").unlink()
    (root.path / "opt/maybe-node/versions/.new-0.2.0/lib").mkdir(parents=True)
    calls(root)
    assert "left by a run that was cut off" in succeeded(root.install(release.script(URL)))
    assert not (root.path / "opt/maybe-node/versions/.new-0.2.0").exists()
    assert calls(root) == ["start maybe-node.service"]
