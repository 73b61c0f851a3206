"""The installer where busybox is the shell and each of the programs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.debian import PACKAGES, debian
from tests.install.roots import PROGRAMS, URL, Root, serving
from tests.integration.install.conftest import released
from tests.integration.install.test_install import succeeded

OTHERS = "getent groupdel nologin setpriv useradd userdel"
"""Not of busybox in Debian: programs of accounts."""

pytestmark = pytest.mark.long


@pytest.mark.parametrize("source", ["wget", "python3"])
def test_busybox_has_each_program_that_the_installer_needs(tmp_path: Path, source: str) -> None:
    first = debian("bookworm", *PACKAGES)
    root = Root(tmp_path)
    root.open(f"{OTHERS} python3")
    shutil.copy(first / "bin/busybox", root.path / "usr/bin/busybox")
    names = {*PROGRAMS.split(), source} - {*OTHERS.split(), "python3"}
    applets = subprocess.run([first / "bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout
    for name in names & set(applets.split()):
        (root.path / "usr/bin" / name).symlink_to("busybox")
    release = released("0.2.0")
    before = root.listing(deep=False)
    with serving(root, release.files):
        assert "0.2.0 is installed" in succeeded(root.install(release.script(URL)))
        assert "nothing was changed" in succeeded(root.install(release.script(URL)))
        (root.path / "opt/maybe-node/versions/0.2.0/LICENSE").write_text("")
        assert "mend /opt/maybe-node/versions/0.2.0/LICENSE" in succeeded(root.install(release.script(URL)))
        succeeded(root.install(release.script(URL), "--uninstall", "--purge"))
    assert root.listing(deep=False) == before
    root.close()
