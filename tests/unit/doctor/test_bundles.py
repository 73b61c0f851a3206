"""Findings of the master's doctor about bundles."""

from pathlib import Path

import pytest

from master.distribution.bundles.build import build
from master.doctor.bundles import age_findings, bundle_findings
from master.settings import Settings, read_settings
from shared.release.signing import public_key
from tests.release.bundles import KEY, change_byte, truncate
from tests.release.inputs import make_build

REQUIRED = {
    "DATABASE_HOST": "localhost",
    "DATABASE_USERNAME": "nobody",
    "DATABASE_PASSWORD": "none",
    "DATABASE_NAME": "none",
    "AMQP_URL": "amqp://localhost/",
    "RABBITMQ_MANAGEMENT_URL": "http://localhost/",
}


def settings(folder: Path, **more: str) -> Settings:
    (folder / "keys").write_text(f"{public_key(KEY)}\n")
    own = {"BUNDLE_DIR": str(folder / "out"), "RELEASE_KEYS_FILE": str(folder / "keys")}
    return read_settings({**REQUIRED, **own, **more})


def levels(found: Settings) -> dict[str, tuple[str, str]]:
    return {finding.check: (finding.level, finding.text) for finding in bundle_findings(found)}


def test_a_master_without_bundles_is_in_order(tmp_path: Path) -> None:
    level, text = levels(settings(tmp_path))["bundles"]
    assert (level, text.startswith("none in")) == ("ok", True)


def test_bundles_that_are_served_are_named_with_their_key(tmp_path: Path) -> None:
    build(make_build(tmp_path), lambda _: None)
    found = bundle_findings(settings(tmp_path))
    assert {finding.level for finding in found} == {"ok"}
    assert any("version 0.2.0" in finding.text for finding in found)


@pytest.mark.parametrize("fault", ["unsigned", "foreign", "changed", "truncated", "missing"])
def test_bundles_that_are_not_served_are_a_problem(tmp_path: Path, fault: str) -> None:
    manifest = build(make_build(tmp_path), lambda _: None)
    bundle = tmp_path / "out" / manifest.files[0].name
    given = settings(tmp_path)
    match fault:
        case "unsigned":
            (tmp_path / "out/manifest.json.sig").unlink()
        case "foreign":
            given = settings(tmp_path, RELEASE_KEYS_FILE="")
        case "changed":
            change_byte(tmp_path / "out/manifest.json")
        case "truncated":
            truncate(bundle)
        case _:
            bundle.unlink()
    found = [finding for finding in bundle_findings(given) if finding.level == "problem"]
    assert [(finding.check, bool(finding.advice)) for finding in found] == [("bundles", True)]


def test_keys_that_cannot_be_read_are_a_problem(tmp_path: Path) -> None:
    assert levels(settings(tmp_path, RELEASE_KEYS_FILE="/nonexistent"))["RELEASE_KEYS_FILE"][0] == "problem"


def test_a_download_port_without_its_address_is_a_warning(tmp_path: Path) -> None:
    assert levels(settings(tmp_path, DOWNLOAD_PORT="3007"))["DOWNLOAD_URL"][0] == "warning"
    both = settings(tmp_path, DOWNLOAD_PORT="3007", DOWNLOAD_URL="http://192.0.2.1:3007")
    assert levels(both)["downloads"] == ("ok", "at http://192.0.2.1:3007, port 3007 is open")


@pytest.mark.parametrize(("version", "count"), [("0.1.9", 1), ("0.2.0rc1", 1), ("0.2.0", 0), ("0.3.0", 0)])
def test_bundles_that_are_older_than_the_master_are_a_warning(version: str, count: int) -> None:
    assert [finding.level for finding in age_findings(version, "0.2.0", "/srv")] == ["warning"] * count


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "http://", "http://x'y", "http://x/$(a)", "http://x/a b", "http://u:p@x", "http://x?y", "http://x/`a`"],
)
def test_a_download_url_that_could_break_out_of_a_script_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Exception, match="DOWNLOAD_URL"):
        settings(tmp_path, DOWNLOAD_URL=url)
