"""The compose file for production, by the commands that docs/containers.md prints."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.containers.compose import BASE_IMAGES, docker, eventually, need_containers, require
from tests.documents.markdown import blocks
from tests.launch.registry import ROOT
from tests.services.ports import API, claim_block

pytestmark = pytest.mark.long

BUILD, SECRETS, START, MASTER, NODE, DUMP, RESTORE, UPGRADE = range(8)
"""The blocks of the page, in their order."""


@dataclass(frozen=True)
class Production:
    """A master with its services inside of the project, whose settings are in a folder."""

    folder: Path
    api_port: int

    def run(self, *numbers: int, more: str = "") -> "subprocess.CompletedProcess[str]":
        """Run blocks of the page as they are printed, but for folders and the digests of images."""
        printed = "\n".join(blocks("docs/containers.md")[number] for number in numbers)
        text = printed.replace("/etc/maybe-proxy", str(self.folder)).replace(
            "docker/images.env", str(self.folder / "images.env")
        )
        environment = {**os.environ, "COMPOSE_PROJECT_NAME": "maybe-proxy-test-production", "DIR": str(self.folder)}
        return subprocess.run(
            ["sh", "-euc", f"{text}\n{more}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    def locations(self) -> list[str]:
        answer = httpx.get(f"http://127.0.0.1:{self.api_port}/locations", trust_env=False).raise_for_status()
        return [location["name"] for location in answer.json()["items"]]


def succeeded(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    need_containers()
    with claim_block().held() as ports:
        made = Production(tmp_path_factory.mktemp("production"), ports.port(API))
        names = ("PYTHON_IMAGE", "POSTGRES_IMAGE", "RABBITMQ_IMAGE")
        images = "".join(f"{name}={tag}\n" for name, tag in zip(names, BASE_IMAGES, strict=True))
        images += "MASTER_IMAGE=maybe-proxy-test-production\nBUNDLE_HOSTS=--libc gnu --python 3.11 --python 3.13\n"
        (made.folder / "images.env").write_text(images)
        further = {"API_PORT": made.api_port, "BROKER_PORT": ports.port(API + 1), "BROKER_BIND": "127.0.0.1"}
        further |= {"BROKER_NOFILE": 4096, "DOWNLOAD_PORT": ports.port(API + 2), "LINKS_PORT": ports.port(API + 3)}
        lines = "\n".join(f"echo {name}={value} >>$DIR/compose.env" for name, value in further.items())
        try:
            succeeded(made.run(SECRETS, more=lines))
            yield made
        finally:
            down = (
                "$COMPOSE logs --tail=30; $COMPOSE down --volumes --timeout=5; docker rmi maybe-proxy-test-production"
            )
            compose = blocks("docs/containers.md")[START].splitlines()[0]
            print(made.run(more=f"{compose}\n{down}").stdout)


def test_the_printed_commands_start_a_master_without_a_problem(production: Production) -> None:
    assert "problems: 0" in succeeded(production.run(START))


def test_no_secret_is_in_what_docker_shows_or_a_program_logs(production: Production) -> None:
    password = (production.folder / "database_password").read_text().strip()
    login = (production.folder / "rabbitmq_login").read_text().split()[-1]
    names = docker("ps", "--quiet", "--filter=label=com.docker.compose.project=maybe-proxy-test-production").split()
    assert len(names) == 3
    shown = docker("inspect", *names) + "".join(docker("logs", name) for name in names)
    assert password not in shown
    assert login not in shown


def test_all_programs_have_lost_their_privileges_and_bounds_are_set(production: Production) -> None:
    names = docker("ps", "--quiet", "--filter=label=com.docker.compose.project=maybe-proxy-test-production").split()
    for each in json.loads(docker("inspect", *names)):
        status = Path(f"/proc/{each['State']['Pid']}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert each["HostConfig"]["LogConfig"]["Config"] == {"max-file": "5", "max-size": "20m"}


def test_the_printed_restore_brings_back_what_the_printed_dump_holds(production: Production) -> None:
    location = f"http://127.0.0.1:{production.api_port}/locations"
    made = httpx.post(location, json={"name": "kept"}, trust_env=False).raise_for_status().json()
    compose = blocks("docs/containers.md")[START].splitlines()[0].replace("/etc/maybe-proxy", str(production.folder))
    compose = compose.replace("docker/images.env", str(production.folder / "images.env"))
    dump = str(production.folder / "maybe.dump")
    steps = [blocks("docs/containers.md")[number].replace("maybe.dump", dump) for number in (DUMP, RESTORE)]
    succeeded(production.run(more=f"{compose}\n{steps[0]}"))
    httpx.delete(f"{location}/{made['id']}", trust_env=False).raise_for_status()
    succeeded(production.run(more=f"{compose}\n{steps[1]}"))
    eventually(lambda: require("kept" in production.locations(), "the location is not there"))


@pytest.mark.parametrize(
    "name", ["DATABASE_HOST", "DATABASE_PASSWORD_FILE", "AMQP_URL_FILE", "RABBITMQ_MANAGEMENT_URL", "NODE_AMQP_URL"]
)
def test_without_a_needed_setting_nothing_starts_and_the_setting_is_named(production: Production, name: str) -> None:
    lacking = production.folder / f"without-{name}.env"
    lines = (production.folder / "compose.env").read_text().splitlines()
    lacking.write_text("\n".join(line for line in lines if not line.startswith(f"{name}=")))
    compose = f"docker compose --env-file {production.folder}/images.env --env-file {lacking}"
    done = production.run(more=f"{compose} -f docker/compose.production.yaml config")
    assert done.returncode != 0
    assert f"required variable {name} is missing" in done.stderr


def test_the_profile_of_the_broker_does_not_start_without_a_login(production: Production) -> None:
    lines = (production.folder / "compose.env").read_text().splitlines()
    lacking = production.folder / "no-login.env"
    lacking.write_text("\n".join(line for line in lines if not line.startswith("RABBITMQ_LOGIN_FILE=")))
    compose = f"docker compose -p maybe-proxy-test-none --env-file {production.folder}/images.env --env-file {lacking}"
    compose += " -f docker/compose.production.yaml"
    done = production.run(more=f"trap '{compose} down --volumes' EXIT; {compose} up -d --no-deps rabbitmq")
    assert done.returncode != 0
    assert "set-RABBITMQ_LOGIN_FILE" in done.stderr
