"""The wheel in an environment that has what a plain installation brings and nothing else. Needs no network."""

import json
import re
import subprocess
import sys
import zipfile
from hashlib import sha256
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
SOURCES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "master", "node", "shared")
NOBODYS = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built out of a copy: no file of this checkout changes."""
    checkout, made = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    run("cp", "-r", *(str(ROOT / name) for name in SOURCES), str(checkout))
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-q"]
    run(*pip, "--wheel-dir", str(made), str(checkout))
    [file] = made.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment, into which the wheel was installed without extras."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(venv))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(venv / "bin/python"),
        "install",
        "--no-index",
        "--no-deps",
        "-q",
    ]
    run(*pip, str(wheel))
    [site] = venv.glob("lib/python*/site-packages")
    for package in required("maybe-proxy", set()):
        link_files(package, site)
    return venv / "bin"


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def started(program: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    call = [program, *words]
    return subprocess.run(call, check=False, env=NOBODYS | environment, capture_output=True, text=True, timeout=60)


def required(name: str, found: set[str]) -> set[str]:
    """What the package needs, and what that needs in turn, with the extras that are asked for."""
    for requirement in map(Requirement, distribution(name).requires or ()):
        asked = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if asked and requirement.name not in found:
            found.add(requirement.name)
            required(requirement.name, found)
    return found


def link_files(name: str, site: Path) -> None:
    """What the package has at the top of site-packages is there too."""
    package: Distribution = distribution(name)
    for top in {Path(file).parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
        link = site / top
        if not link.exists():
            link.symlink_to(Path(str(package.locate_file(top))))


@pytest.mark.parametrize("program", ["maybe-master", "maybe-node"])
def test_each_program_of_a_plain_installation_tells_its_version_and_its_commands(installed: Path, program: str) -> None:
    version = started(installed / program, "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", version.stdout)
    assert "doctor" in started(installed / program, "--help").stdout


def test_a_master_without_settings_names_what_is_missing_in_one_line(installed: Path) -> None:
    ended = started(installed / "maybe-master")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    for variable in ("AMQP_URL", "RABBITMQ_MANAGEMENT_URL", "DATABASE_HOST", "DATABASE_PASSWORD"):
        assert variable in ended.stderr


def test_a_node_of_a_plain_installation_answers(installed: Path, tmp_path: Path) -> None:
    ended = started(installed / "maybe-node", "stop", NODE_DATA_DIR=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("nothing was running")


def test_the_wheel_offers_no_extras_and_has_its_queries_and_pages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
        contents = json.loads(archive.read("master/web/static/packed/contents.json"))
        sources = {name: archive.read(f"master/web/static/{name}") for name in contents["sources"]}
    assert {name: sha256(text).hexdigest() for name, text in sources.items()} == contents["sources"]
    packed = ("main.js", "page.css", *contents["modules"])
    shipped = {f"master/web/static/packed/{one}" for one in packed}
    assert {"master/web/static/vendor/LICENSE.preact", *shipped} <= {*names}
    assert "Provides-Extra" not in metadata
    assert {"master/domain/proxies/proxies.sql", "master/db/migrations/0001_tables.sql"} <= set(names)
