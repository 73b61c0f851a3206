"""The installer in a bare root: what it makes, what it leaves alone, and what it takes away."""

import subprocess

from tests.install.releases import Release
from tests.install.roots import URL, Root
from tests.install.systemctl import add_systemd, calls

UNITS = ("maybe-node.service", "maybe-node-upgrade.path", "maybe-node-upgrade.service")


def succeeded(done: "subprocess.CompletedProcess[str]") -> str:
    """The output of a run that went well."""
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def test_a_second_run_changes_nothing_and_purging_leaves_the_root_as_it_was(
    root: Root, release: Release, served: list[str]
) -> None:
    add_systemd(root)
    before, accounts = root.listing(deep=False), root.text("etc/passwd")
    told = succeeded(root.install(release.script(URL)))
    assert told.splitlines()[-1].startswith("challenge 7KQ2-M0XA of /var/lib/maybe-node: curl -X POST")
    assert {"start maybe-node.service", "start maybe-node-upgrade.path"} <= set(calls(root))
    assert all((root.path / "etc/systemd/system" / unit).is_file() for unit in UNITS)

    installed = root.listing()
    assert "nothing was changed" in succeeded(root.install(release.script(URL)))
    assert root.listing() == installed
    assert calls(root) == []

    succeeded(root.install(release.script(URL), "--uninstall", "--purge"))
    assert root.listing(deep=False) == before
    assert root.text("etc/passwd") == accounts


def test_print_names_each_change_and_makes_none(root: Root, release: Release, served: list[str]) -> None:
    add_systemd(root)
    before = root.listing()
    lines = succeeded(root.install(release.script(URL), "--print")).splitlines()
    assert root.listing() == before | {"tmp": root.listing()["tmp"]}
    assert all(line.startswith("would ") for line in lines[1:])
    changes = (
        "the user maybe-node|versions/0.2.0|node.env|/usr/local/bin/maybe-node|maybe-node.service|start maybe-node"
    )
    assert all(any(change in line for line in lines) for change in changes.split("|"))
    assert calls(root) == []
    assert succeeded(root.install(release.script(URL), "--version")) == "maybe-node 0.2.0\n"


def test_programs_of_the_present_folder_are_never_taken(root: Root, release: Release, served: list[str]) -> None:
    root.write("3proxy", "#!/bin/sh\n", 0o755)
    root.write("tmp/mn", release.script(URL))
    done = root.run("/bin/sh", "-c", "unset PATH; cd / && . /tmp/mn")
    assert "maybe-node 0.2.0 is installed" in succeeded(done)
    assert "3proxy" not in done.stdout + root.text("etc/maybe-node/node.env")


def test_the_service_cannot_write_its_code_and_others_cannot_read_its_settings(
    root: Root, release: Release, served: list[str]
) -> None:
    """Whatever the environment: umask 077, no HOME, another language, and a /tmp without execution."""
    root.enter("mount", "-t", "tmpfs", "-o", "noexec,mode=1777", "tmpfs", str(root.path / "tmp"))
    root.enter("sh", "-c", f"cat >{root.path}/tmp/mn", given=release.script(URL))
    succeeded(root.run("sh", "-c", "umask 077; sh /tmp/mn", LANG="ru_RU", NODE_WORKERS="2"))
    modes = {name: (mode & 0o7777, uid) for name, (mode, uid, _) in root.listing(deep=False).items()}
    owner = modes["var/lib/maybe-node"][1]
    assert owner not in (0, 1000)
    assert {modes[name] for name in modes if name.startswith("opt/maybe-node/versions")} == {
        (mode, 0) for mode in (0o755, 0o644, 0o777) if mode != 0o777
    }
    assert modes["opt/maybe-node"] == modes["etc/maybe-node"] == modes["usr/local/bin/maybe-node"] == (0o755, 0)
    assert modes["var/lib/maybe-node"] == (0o700, owner)
    assert modes["etc/maybe-node/node.env"] == (0o640, 0)
    assert modes["etc/maybe-node/release-keys"] == modes["opt/maybe-node/.made"] == (0o644, 0)


def test_settings_are_written_once_and_the_command_runs_with_them_as_the_services_user(
    root: Root, release: Release, served: list[str]
) -> None:
    environment = {"NODE_VIA": "a`b$c|d", "LOG_LEVEL": "debug", "NODE_INVITATION": "3-ABC", "OTHER": "x"}
    environment |= {"NODE_ALLOW_DESTINATIONS": "10.0.0.0/8 192.168.0.0/16"}
    told = succeeded(root.install(release.script(URL), **environment))
    assert "no systemd here that starts it: start it yourself, as maybe-node" in told
    lines = root.text("etc/maybe-node/node.env").splitlines()[1:]
    assert lines == [
        "NODE_DATA_DIR=/var/lib/maybe-node",
        "NODE_ALLOW_DESTINATIONS='10.0.0.0/8 192.168.0.0/16'",
        "NODE_INVITATION=3-ABC",
        "NODE_VIA='a`b$c|d'",
        "LOG_LEVEL=debug",
        f"NODE_MASTER_URL={URL}",
    ]
    (root.path / "etc/maybe-node/node.env").write_text("# mine\nNODE_DATA_DIR='/var/lib/other'\nNODE_VIA=a b\n")
    succeeded(root.install(release.script(URL), LOG_LEVEL="error"))
    assert root.text("etc/maybe-node/node.env").startswith("# mine")
    root.calls()
    assert "of /var/lib/other:" in succeeded(root.run("/usr/local/bin/maybe-node", "challenge", "--json"))
    assert root.calls() == ["maybe-node challenge --json"]


def test_a_user_without_root_installs_for_himself_and_purging_leaves_his_home_as_it_was(
    root: Root, release: Release, served: list[str]
) -> None:
    add_systemd(root)
    before = root.listing(deep=False)
    root.write("tmp/mn", release.script(URL))
    as_ann = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "/tmp/mn", "--user")
    told = succeeded(root.run(*as_ann, HOME="/home/ann"))
    assert told.splitlines()[-1].startswith("challenge 7KQ2-M0XA of /home/ann/.local/state/maybe-node:")
    changed = root.listing(deep=False).items() - before.items()
    assert {name.split("/")[0] for name, _ in changed} <= {"home", "run", "tmp"}
    assert {owner for name, (_, owner, _) in changed if name.startswith("home")} == {1000}
    assert "nothing was changed" in succeeded(root.run(*as_ann, HOME="/home/ann"))
    succeeded(root.run(*as_ann, "--uninstall", "--purge", HOME="/home/ann"))
    (root.path / "tmp/mn").unlink()
    assert root.listing(deep=False) == before


def test_another_systems_root_is_prepared_below_maybe_root(root: Root, release: Release, served: list[str]) -> None:
    for name in ("passwd", "group", "shadow", "gshadow", "login.defs"):
        root.write(f"srv/image/etc/{name}", root.text(f"etc/{name}"))
    before = root.listing(deep=False)
    succeeded(root.install(release.script(URL), MAYBE_ROOT="/srv/image"))
    added = root.listing(deep=False).keys() - before.keys()
    assert "srv/image/opt/maybe-node/versions/0.2.0/maybe-node" in added
    assert {name for name in added if not name.startswith("srv/image/")} == set()
    assert "maybe-node" in root.text("srv/image/etc/passwd")
    assert "maybe-node" not in root.text("etc/passwd")
    succeeded(root.install(release.script(URL), "--uninstall", "--purge", MAYBE_ROOT="/srv/image"))
    assert root.listing(deep=False) == before


def test_uninstalling_keeps_identity_and_settings_for_a_later_installation(
    root: Root, release: Release, served: list[str]
) -> None:
    succeeded(root.install(release.script(URL), NODE_WORKERS="3"))
    root.write("var/lib/maybe-node/identity.json", "{}")
    assert "are kept in /var/lib/maybe-node" in succeeded(root.install(release.script(URL), "--uninstall"))
    assert not (root.path / "opt/maybe-node/versions").exists()
    add_systemd(root)
    assert "start it by: systemctl start" in succeeded(root.install(release.script(URL), "--no-start"))
    assert not any(call.startswith(("start", "restart")) for call in calls(root))
    assert "NODE_WORKERS=3" in root.text("etc/maybe-node/node.env")
    assert root.text("var/lib/maybe-node/identity.json") == "{}"
