"""Which upgrades are refused, how an interrupted one goes on, and what reports contain of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.upgrade.decisions import (
    ATTEMPTS,
    DECIDED,
    UNTOUCHED,
    HostPlatform,
    Refused,
    check_order,
    check_room,
    chosen_file,
    resumed,
    upgrade_report,
)
from node.upgrade.layout import layout_of, system_layout, user_layout
from node.upgrade.records import FINAL, BadVersions, Journal, NodeUpgradeState, Step, VersionRolledBack
from shared.messages.bodies import UpgradeReport, UpgradeRequest
from shared.release.manifest import BundleFile, BundleKind, Manifest
from shared.release.versions import is_older

STEPS: tuple[Step, ...] = (*UNTOUCHED, "flipping", "restarting", "checking", *DECIDED)
VERSIONS = st.builds("{}.{}.{}".format, *[st.integers(0, 2)] * 3)
GLIBC = HostPlatform(python="3.11", machine="x86_64", libc="gnu")


def request(version: str = "0.2.0", *, id_: int = 5, downgrade: bool = False) -> UpgradeRequest:
    url = "http://198.51.100.1:3007/bundle/manifest.json"
    return UpgradeRequest(id=id_, version=version, url=url, sha256="ab" * 32, downgrade=downgrade)


def manifest(version: str = "0.2.0", least: str = "0.0.0", *files: BundleFile) -> Manifest:
    moment = "2026-11-30T12:00:00Z"
    return Manifest(version=version, created_at=moment, min_upgradable_from=least, files=files or (bundle(),))


def bundle(kind: BundleKind = "thin", python: str | None = "3.11", libc: str = "gnu") -> BundleFile:
    name = f"{kind}-{python}-{libc}.tar.gz"
    return BundleFile(name=name, kind=kind, python=python, machine="x86_64", libc=libc, size=9, sha256="cd" * 32)


def state(id_: int = 5, name: str = "checking", reason: str = "") -> NodeUpgradeState:
    return NodeUpgradeState.model_validate(
        {"id": id_, "version": "0.2.0", "from": "0.1.0", "state": name, "reason": reason}
    )


@given(VERSIONS, VERSIONS, st.booleans())
def test_only_a_request_for_it_makes_a_version_lower(version: str, installed: str, downgrade: bool) -> None:
    asked = request(version, downgrade=downgrade)
    try:
        check_order(asked, manifest(version), installed=installed, bad=BadVersions())
    except Refused:
        assert is_older(version, installed)
        assert not downgrade
    else:
        assert downgrade or not is_older(version, installed)


@given(VERSIONS, VERSIONS)
def test_a_version_older_than_the_least_upgradable_is_not_upgraded(least: str, installed: str) -> None:
    newest = manifest("3.0.0", least)
    if is_older(installed, least):
        with pytest.raises(Refused, match="or later to be installed before"):
            check_order(request("3.0.0"), newest, installed=installed, bad=BadVersions())
    else:
        check_order(request("3.0.0"), newest, installed=installed, bad=BadVersions())


def test_a_manifest_of_another_version_than_requested_is_refused() -> None:
    with pytest.raises(Refused, match=r"0\.2\.0 was requested, but the manifest is of 0\.3\.0"):
        check_order(request(), manifest("0.3.0"), installed="0.1.0", bad=BadVersions())


def test_a_version_that_was_rolled_back_is_refused_until_its_manifest_changes() -> None:
    bad = BadVersions().with_one(VersionRolledBack(version="0.2.0", manifest="ab" * 32, reason="it was deaf"))
    with pytest.raises(Refused, match="was rolled back on this node before: it was deaf"):
        check_order(request(), manifest(), installed="0.1.0", bad=bad)
    rebuilt = request().model_copy(update={"sha256": "ef" * 32})
    check_order(rebuilt, manifest(), installed="0.1.0", bad=bad)


def test_only_the_last_bad_versions_are_remembered() -> None:
    bad = BadVersions()
    for number in range(200):
        bad = bad.with_one(VersionRolledBack(version="0.2.0", manifest=str(number)))
    assert len(bad.versions) == 50
    assert bad.reason("199") is not None


def test_an_installed_version_that_is_none_is_named() -> None:
    with pytest.raises(Refused, match="'nightly' is not a version"):
        check_order(request(), manifest(), installed="nightly", bad=BadVersions())


def test_a_host_gets_a_bundle_of_its_own_kind_or_a_full_one() -> None:
    full = bundle("full", None)
    both = manifest("0.2.0", "0.0.0", full, bundle())
    assert chosen_file(both, GLIBC).kind == "thin"
    assert chosen_file(both, HostPlatform(python=None, machine="x86_64", libc="gnu")) == full
    assert chosen_file(both, HostPlatform(python="3.13", machine="x86_64", libc="gnu")) == full
    with pytest.raises(Refused, match=r"no bundle for Python 3\.11 for x86_64 with musl libc"):
        chosen_file(both, HostPlatform(python="3.11", machine="x86_64", libc="musl"))


def test_a_full_disk_is_noticed_before_anything_is_fetched() -> None:
    check_room(10, 1 << 30, "/opt")
    with pytest.raises(Refused, match="/opt has 20 MiB free, but the upgrade needs 26 MiB"):
        check_room(10 << 20, 20 << 20, "/opt")


@given(st.sampled_from(STEPS), st.integers(0, 5), st.booleans())
def test_an_interrupted_upgrade_only_goes_where_it_can_be_undone(step: Step, attempts: int, by_hand: bool) -> None:
    asked = None if by_hand else request()
    journal = Journal(version="0.2.0", before="0.1.0", request=asked, step=step, attempts=attempts)
    try:
        after = resumed(journal)
    except Refused:
        assert step in UNTOUCHED
        return
    if step in DECIDED:
        assert after == journal
    elif step in UNTOUCHED:
        assert after.step == "fetching"
    else:
        assert after.step in ("flipping", "undoing")


@given(st.sampled_from(STEPS))
def test_interruptions_come_to_an_end(step: Step) -> None:
    journal = Journal(version="0.2.0", before="0.1.0", request=request(), step=step)
    try:
        for _ in range(ATTEMPTS):
            journal = resumed(journal)
    except Refused:
        return
    assert journal.step in DECIDED


def test_a_report_shows_what_is_on_disk() -> None:
    assert upgrade_report("", None, None) == UpgradeReport(able=True)
    assert upgrade_report("by pip", None, None) == UpgradeReport(able=False, reason="by pip")
    waiting = upgrade_report("", request(), None)
    assert (waiting.id, waiting.version, waiting.state) == (5, "0.2.0", "")
    assert upgrade_report("", request(), state()).state == "checking"
    assert upgrade_report("", request(id_=6), state(name="done")).id == 6
    ended = upgrade_report("", None, state(name="rolled_back", reason="port 7 is deaf"))
    assert (ended.id, ended.state, ended.reason) == (5, "rolled_back", "port 7 is deaf")


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from(["fetching", *FINAL]))
def test_a_report_never_goes_back_to_an_earlier_request(asked: int, known: int, name: str) -> None:
    assert upgrade_report("", request(id_=asked), state(known, name)).id == max(asked, known)


@pytest.mark.parametrize("entry", ["versions/0.1.0", "current", "upgrader", "previous"])
def test_an_installation_is_found_from_its_code(entry: str) -> None:
    code = Path("/srv/root/opt/maybe-node", entry, "lib/node/upgrade/layout.py")
    own = Path("/srv/root/opt/maybe-node", entry)
    assert layout_of(code) == system_layout(Path("/srv/root"), own)
    home = Path("/home/u/.local/share/maybe-node", entry)
    assert layout_of(home / "lib/node/upgrade/layout.py") == user_layout(Path("/home/u"), home)


@pytest.mark.parametrize(
    "code",
    [
        "/usr/lib/python3/dist-packages/node/upgrade/layout.py",
        "/opt/maybe-node/lib/node/layout.py",
        "/opt/other/versions/1/lib/node/layout.py",
        "/opt/maybe-node/elsewhere/0.1.0/lib/node/layout.py",
    ],
)
def test_other_code_was_not_installed_by_a_bundle(code: str) -> None:
    assert layout_of(Path(code)) is None
