"""`maybe-master bundle` and `maybe-master install-command`, and the line run by shells."""

import asyncio
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from master.distribution.bundles.build import build
from master.distribution.commands import run_command, settings_of
from master.distribution.downloads.listener import downloads_of
from master.distribution.install_script import install_line, rendered
from shared.release.manifest import read_manifest
from shared.release.signing import public_key
from tests.release.bundles import KEY, sign_again
from tests.release.bundles import Release as BundleRelease
from tests.release.downloads import download_port
from tests.release.inputs import make_build

URL = "http://192.0.2.1:3007"


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a master with bundles."""
    build(make_build(tmp_path), silent)
    (tmp_path / "keys").write_text(f"# ours\n{public_key(KEY)}\n")
    return {"BUNDLE_DIR": str(tmp_path / "out"), "RELEASE_KEYS_FILE": str(tmp_path / "keys"), "DOWNLOAD_URL": URL}


def test_a_key_is_private_and_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "release.pem"
    assert run_command("bundle", ["key", str(path)], {}) == 0
    assert capsys.readouterr().out == f"{public_key(path.read_bytes())}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert run_command("bundle", ["key", str(path)], {}) == 1
    assert path.read_bytes() == before


def test_bundles_are_built_by_command_and_verified_by_the_key_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = make_build(tmp_path)
    (tmp_path / "release.pem").write_bytes(KEY)
    words = ["build", "--out", str(tmp_path / "made"), "--key", str(tmp_path / "release.pem"), "--version", "0.9.0"]
    words += ["--wheels", str(tmp_path / "wheels"), "--lock", str(wanted.lock), "--python", "3.13", "--libc", "musl"]
    assert run_command("bundle", words, {"SOURCE_DATE_EPOCH": "1764504000"}) == 0
    manifest = read_manifest((tmp_path / "made/manifest.json").read_bytes())
    assert manifest.created_at == "2025-11-30T12:00:00Z"
    assert {(file.python, file.libc, file.machine) for file in manifest.files} == {
        ("3.13", "musl", "x86_64"),
        ("3.13", "musl", "aarch64"),
    }
    trusted = {"RELEASE_KEYS_FILE": str(tmp_path / "made/release-keys")}
    assert run_command("bundle", ["verify", str(tmp_path / "made")], trusted) == 0
    assert run_command("bundle", ["verify", str(tmp_path / "made")], {}) == 1
    assert "is not trusted" in capsys.readouterr().err


def test_a_build_without_a_key_says_what_that_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = make_build(tmp_path)
    words = ["build", "--out", str(tmp_path / "made"), "--wheels", str(tmp_path / "wheels"), "--lock", str(wanted.lock)]
    assert run_command("bundle", [*words, "--python", "3.11", "--machine", "x86_64"], {}) == 0
    assert "throw-away key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["build", "--version", "1.0"], "is not a version"),
        (["build", "--key", "/nonexistent"], "No such file"),
        (["build", "--lock", "/nonexistent"], "the lock file"),
        (["build", "--runtime", "python.tar.gz"], "a runtime is called"),
        (["verify", "/nonexistent"], "has no manifest.json"),
        (["export", "/nonexistent/node.tar"], "has no manifest.json"),
    ],
)
def test_a_command_that_fails_says_why(
    words: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("bundle", words, {"BUNDLE_DIR": str(tmp_path / "out")}) == 1
    assert reason in capsys.readouterr().err


def test_a_file_of_keys_that_cannot_be_read_is_bad_configuration(
    env: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").write_text("not a key\n")
    assert run_command("bundle", ["verify"], env) == 2
    assert "RELEASE_KEYS_FILE" in capsys.readouterr().err


def test_an_export_has_the_script_the_manifest_and_the_chosen_bundles(env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "node.tar"
    assert run_command("bundle", ["export", str(out)], env) == 0
    first = out.read_bytes()
    with tarfile.open(out) as archive:
        names = archive.getnames()
        script = archive.extractfile("install.sh")
        assert script is not None
        assert b"\nBASE_URL=''\nVERSION='0.2.0'\n" in script.read()
    assert names == [
        "install.sh",
        "manifest.json",
        "manifest.json.sig",
        "maybe-node-0.2.0-thin-cp311-x86_64-gnu.tar.gz",
    ]
    assert run_command("bundle", ["export", str(out)], env) == 0
    assert out.read_bytes() == first
    assert run_command("bundle", ["export", str(out), "--machine", "aarch64"], env) == 1
    assert out.read_bytes() == first


async def test_the_printed_line_pins_the_script_that_a_master_serves(
    env: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("install-command", [], env) == 0
    line = capsys.readouterr().out.strip()
    async with download_port(downloads_of(settings_of(env))) as port:
        script = (await port.client.get("/install.sh")).content
    assert line == install_line(URL, script).text


@pytest.mark.parametrize(
    ("words", "changed", "reason"),
    [
        ([], {"DOWNLOAD_URL": ""}, "set DOWNLOAD_URL"),
        (["--url", "http://other:3007"], {}, "DOWNLOAD_URL is"),
        (["--url", "http://x'; reboot; '"], {"DOWNLOAD_URL": ""}, "--url is not an address"),
        (["--url", "http://x/$(reboot)"], {"DOWNLOAD_URL": ""}, "--url is not an address"),
        ([], {"BUNDLE_DIR": "/nonexistent"}, "maybe-master bundle build"),
    ],
)
def test_no_line_is_printed_that_would_not_work(
    env: dict[str, str], words: list[str], changed: dict[str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("install-command", words, env | changed) == 1
    printed = capsys.readouterr()
    assert (printed.out, reason in printed.err) == ("", True)


SHELLS = [shell for shell in ("dash", "bash", "zsh", "busybox") if shutil.which(shell)]


def ran(line: str, shell: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell whose PATH has a sudo that says so."""
    folder.mkdir()
    (folder / "sudo").write_text('#!/bin/sh\necho by-sudo\nexec "$@"\n')
    (folder / "sudo").chmod(0o755)
    words = [shell, "sh", "-c", line] if shell == "busybox" else [shell, "-c", line]
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder), **more}
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
async def test_the_line_runs_the_script_in_every_shell_and_stops_at_another_hash(tmp_path: Path) -> None:
    script = b'echo "ran $INVITED $*"\n'
    (tmp_path / "site").mkdir()
    (tmp_path / "site/install.sh").write_bytes(script)
    url = (tmp_path / "site").as_uri()
    for shell in SHELLS:
        line = install_line(url, script, environment={"INVITED": "a 'b' $(c)"}).text
        done = await asyncio.to_thread(ran, line, shell, tmp_path / shell)
        assert (shell, done.stdout.splitlines()[1:]) == (shell, ["by-sudo", "ran a 'b' $(c) "])
        bad = await asyncio.to_thread(ran, install_line(url, b"other").text, shell, tmp_path / f"{shell}-bad")
        assert (shell, bad.returncode != 0, "ran" in bad.stdout.splitlines()) == (shell, True, False)
    user = await asyncio.to_thread(ran, install_line(url, script, is_user=True).text, SHELLS[0], tmp_path / "user")
    assert user.stdout.splitlines()[1:] == ["ran  --user"]


@pytest.mark.parametrize("value", ["it's", "a\nb", "`x`", "$x", 'a"b', "a\\b", "a;b"])
def test_nothing_can_break_out_of_the_values_of_the_script(value: str) -> None:
    with pytest.raises(ValueError, match="BASE_URL"):
        rendered("BASE_URL='@BASE_URL@'\n", {"BASE_URL": value})


def test_a_template_without_a_place_for_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="VERSION"):
        rendered("BASE_URL='@BASE_URL@'\n", {"VERSION": "1.0.0"})


def test_a_manifest_of_a_later_format_is_refused_by_name(
    env: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read_manifest((tmp_path / "out/manifest.json").read_bytes())
    raw = manifest.bytes().replace(b'"format": 1', b'"format": 2')
    sign_again(BundleRelease(tmp_path / "out", manifest, KEY), raw, KEY)
    assert run_command("bundle", ["verify"], env) == 1
    assert "format" in capsys.readouterr().err
