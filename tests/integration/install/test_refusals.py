"""What the installer refuses: nothing of a bundle has run then, and nothing is left behind."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.install.releases import Release, signature, stand_in
from tests.install.roots import PROGRAMS, PYTHON, URL, Root, require_roots, serving
from tests.integration.install.conftest import KEY, released

VERSION = PYTHON.removeprefix("python")
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
Change = Callable[[Release], None]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    """One root for all: each refusal leaves it as it was."""
    require_roots()
    made = Root(tmp_path_factory.mktemp("bare"))
    try:
        made.open()
        yield made
    finally:
        made.close()


def refused(root: Root, release: Release, script: str, *options: str, **environment: str) -> str:
    """What it says. Raises AssertionError when it does anything else."""
    before = root.listing()
    with serving(root, release.files):
        done = root.install(script, *options, **environment)
    after = root.listing()
    assert done.returncode == 1, done.stdout
    assert after | {"tmp": before["tmp"]} == before
    assert root.calls() == []
    assert done.stderr.startswith("maybe-node: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def change_manifest(release: Release) -> None:
    release.files["manifest.json"] = release.files["manifest.json"].replace(b"2026", b"2027")


def change_bundle(release: Release) -> None:
    body = bytearray(release.files[release.bundle])
    body[len(body) // 2] ^= 1
    release.files[release.bundle] = bytes(body)


def cut_bundle(release: Release) -> None:
    release.files[release.bundle] = release.files[release.bundle][:-100]


def lengthen_bundle(release: Release) -> None:
    release.files[release.bundle] += b"x" * 100


def sign_as_stranger(release: Release) -> None:
    release.files["manifest.json.sig"] = signature(release.files["manifest.json"], STRANGER)


def claim_the_key(release: Release) -> None:
    """A stranger's signature under the id of the release key."""
    id_ = signature(b"", KEY).split()[0]
    release.files["manifest.json.sig"] = id_ + b" " + signature(release.files["manifest.json"], STRANGER).split()[1]


def sign_nothing(release: Release) -> None:
    release.files["manifest.json.sig"] = b"\n\xff garbage \n" * 20


def lose_bundle(release: Release) -> None:
    del release.files[release.bundle]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (change_manifest, "not the one that this file pins"),
        (sign_as_stranger, "no valid signature of a key that this file pins"),
        (claim_the_key, "no valid signature of a key that this file pins"),
        (sign_nothing, "no valid signature of a key that this file pins"),
        (change_bundle, "is not what the manifest pins"),
        (cut_bundle, "is not what the manifest pins"),
        (lengthen_bundle, "is not what the manifest pins"),
        (lose_bundle, "could not be fetched"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_release_that_was_changed_is_refused(bare: Root, release: Release, change: Change, text: str) -> None:
    script = release.script(URL)
    change(release)
    assert text in refused(bare, release, script)


def test_a_bundle_that_differs_from_its_own_list_or_does_not_run_is_refused(bare: Root) -> None:
    made = Release("0.2.0", KEY)
    packed = gzip.decompress(stand_in("0.2.0", python=VERSION)).replace(b"SERVES = True", b"SERVES = None")
    made.add(gzip.compress(packed), kind="thin", python=VERSION, machine="x86_64", libc="gnu")
    assert "differs from its list" in refused(bare, made, made.script(URL))
    broken = released("0.2.0", extra="this is no Python\n")
    assert "could not be compiled" in refused(bare, broken, broken.script(URL))


def test_a_script_that_was_cut_off_anywhere_does_nothing(bare: Root, release: Release) -> None:
    script = release.script(URL)
    lines = [at for at, letter in enumerate(script) if letter == "\n"]
    cuts = [*lines[:: len(lines) // 80], *range(len(script) - 16, len(script) - 1)]
    folder = bare.path / "tmp/cuts"
    folder.mkdir()
    for number, cut in enumerate(cuts):
        (folder / f"{number:03}").write_text(script[:cut])
    before = bare.listing()
    with serving(bare, release.files) as asked:
        done = bare.run("sh", "-c", "for file in /tmp/cuts/*; do sh $file; done")
    assert (done.stdout, asked) == ("", [])
    assert bare.listing() == before
    bare.run("rm", "-r", "/tmp/cuts")


def test_a_host_that_cannot_run_it_is_named_with_what_to_do(bare: Root, release: Release) -> None:
    other = Release("0.2.0", KEY)
    other.add(b"x", kind="thin", python=VERSION, machine="aarch64", libc="gnu")
    assert "no bundle for this machine (x86_64, gnu)" in refused(bare, other, other.script(URL))
    musl = Release("0.2.0", KEY)
    musl.add(b"x", kind="thin", python=VERSION, machine="x86_64", libc="musl")
    assert "no bundle for this machine (x86_64, gnu)" in refused(bare, musl, musl.script(URL))
    newer = Release("0.2.0", KEY)
    newer.add(b"x", kind="thin", python="3.99", machine="x86_64", libc="gnu")
    told = refused(bare, newer, newer.script(URL))
    assert f"no bundle for Python {VERSION} (/usr/bin/python3)" in told
    assert "apt-get install python3" in told
    script = release.script(URL)
    assert "sh install.sh --help lists the options" in refused(bare, release, script, "--frobnicate")
    assert "--purge belongs to --uninstall" in refused(bare, release, script, "--purge")
    assert "run it as that user, without sudo" in refused(bare, release, script, "--user")
    assert "cannot be read" in refused(bare, release, script, "--offline", "/nowhere")
    assert "could not be fetched" in refused(bare, release, release.script(f"{URL}/elsewhere"))
    assert "NODE_VIA has a quote" in refused(bare, release, script, NODE_VIA="it's")


def test_a_disk_that_is_too_small_is_named_before_anything_is_written(bare: Root, release: Release) -> None:
    bare.enter("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(bare.path / "opt"))
    assert "/opt has 4 MiB of free space, but 16 MiB are needed" in refused(bare, release, release.script(URL))
    bare.enter("umount", str(bare.path / "opt"))


def test_an_ordinary_user_needs_sudo_or_an_installation_of_his_own(bare: Root, release: Release) -> None:
    bare.write("tmp/mn", release.script(URL))
    done = bare.run("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "/tmp/mn")
    (bare.path / "tmp/mn").unlink()
    assert (done.returncode, done.stdout) == (1, "")
    assert "run it by sudo, or give --user to install for ann alone" in done.stderr


@pytest.mark.parametrize(
    ("programs", "text"),
    [
        ("", "neither curl nor wget nor Python is there to download with: install one (apt-get install curl)"),
        ("curl", "Python or OpenSSL 3 is needed; install one (apt-get install python3)"),
        ("curl openssl", "there is no Python; a node needs Python 3.11 or newer: install it (apt-get install python3)"),
    ],
)
def test_each_program_that_is_missing_is_named_with_its_package(
    tmp_path: Path, release: Release, programs: str, text: str
) -> None:
    require_roots()
    root = Root(tmp_path)
    root.open(f"{PROGRAMS} {programs}")
    assert text in refused(root, release, release.script(URL))
    root.close()


def test_older_versions_and_other_keys_are_refused_where_a_node_is_installed(root: Root) -> None:
    new, old, later = released("0.2.0"), released("0.2.0rc3"), released("0.10.0", key=STRANGER)
    with serving(root, new.files):
        assert root.install(new.script(URL)).returncode == 0
    root.calls()
    assert "0.2.0 is installed, which is newer than 0.2.0rc3" in refused(root, old, old.script(URL))
    assert "/etc/maybe-node/release-keys, which this host trusts" in refused(root, later, later.script(URL))
    far = released("0.10.0")
    far.min_upgradable_from = "0.3.0"
    far.sign()
    assert "needs 0.3.0 or newer" in refused(root, far, far.script(URL))
    assert hashlib.sha256(far.files["manifest.json"]).hexdigest() in far.script(URL)
