"""`maybe-node doctor` beside a real agent, broker and master, and on a host on which something is wrong."""

import asyncio
import json
import os
import secrets
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from node.doctor.examination import findings
from node.settings import read_settings
from node.state.identity import Identity, read_identity, write_identity
from shared.doctor.findings import Finding, as_text
from shared.enrolment.bodies import NodeConfig
from shared.proxies import Exit, ProxyRecord
from tests.cluster.cluster import Cluster, Node, cluster, succeeded
from tests.engines.local_copy import hold
from tests.launch.registry import ROOT
from tests.services.folders import Folder
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where
from tests.tls.authority import Authority


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """As a node's that has not been started yet."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    return {"PATH": os.environ["PATH"], "NODE_DATA_DIR": str(data), "NODE_ENROL_HOST": "127.0.0.1"} | {
        "NODE_ENROL_PORT": str(free_port())
    }


@pytest.fixture
async def alive(
    where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost
) -> AsyncIterator[Cluster]:
    """A master and one node with a proxy that runs."""
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    async with cluster(replace(where, folder=folder), postgres, rabbitmq, database, vhost) as made:
        await made.node()
        wish = {"node_ids": [1], "username": "ann", "password": "s3cret-of-ann"}
        succeeded(await made.api.post("/proxies", json=wish, headers={"Prefer": "wait=10"}))
        yield made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def told(found: list[Finding], level: str) -> dict[str, str]:
    return {finding.check: str(finding) for finding in found if finding.level == level}


async def problems(env: dict[str, str]) -> dict[str, str]:
    return told(await findings(env), "problem")


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of what is there."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if not path.is_socket()
    }


async def command(program: str, env: dict[str, str]) -> tuple[int | None, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", program, "doctor", "--json"), cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return process.returncode, json.loads(output)


def enrolled(env: dict[str, str], amqp_url: str) -> Identity:
    """Make the node of this environment one that is enrolled and proven."""
    config = NodeConfig(node_id=1, name="owl", cluster="c", amqp_urls=(SecretStr(amqp_url),), queue="mp.node.1")
    identity = Identity(config)
    write_identity(read_settings(env).identity_file, identity)
    return identity


async def test_it_finds_no_problem_with_a_node_that_is_not_enrolled_yet(env: dict[str, str]):
    found = await findings(env)
    assert told(found, "problem") == {}, as_text(found)


async def test_a_running_cluster_has_no_problem_on_either_side_and_nothing_secret_is_told(alive: Cluster):
    node = alive.nodes["node-1"]
    for program, process in (("master", alive.masters["master"]), ("node", node.agent)):
        code, found = await command(program, dict(process.environment))
        assert (code, found["ok"]) == (0, True), found
        for secret in ("s3cret-of-ann", alive.vhost.password, alive.database.password, password_of(node)):
            assert secret not in json.dumps(found)
    assert await accepted_by(alive)


def password_of(node: Node) -> str:
    identity = read_identity(node.data / "identity.json")
    assert identity
    return identity.config.amqp_urls[0].get_secret_value().split("@")[0].rpartition(":")[2]


async def accepted_by(alive: Cluster) -> bool:
    """Whether the agent is still heard and its proxy runs."""
    shown = succeeded(await alive.api.get("/proxies/1")).json()
    return shown["status"]["state"] == "running"


async def test_an_agent_that_was_killed_is_named_and_its_files_are_left_as_they_were(alive: Cluster):
    node = alive.nodes["node-1"]
    await alive.kill("node-1")
    before = files(node.data)
    found = await findings(dict(node.agent.environment))
    assert "its proxies go on" in told(found, "problem")["agent"]
    assert "1 of 1 wanted accept connections" in told(found, "ok")["proxies"]
    assert files(node.data).keys() == before.keys()
    await alive.start("node-1")
    await alive.online(node)


async def test_a_proxy_that_does_not_accept_connections_is_named(alive: Cluster):
    await alive.halt("node-1")
    before = files(alive.nodes["node-1"].data)
    found = await findings(dict(alive.nodes["node-1"].agent.environment))
    assert "1 of 1 wanted do not accept connections" in told(found, "problem")["proxies"]
    assert "none runs" in told(found, "warning")["workers"]
    assert files(alive.nodes["node-1"].data) == before


async def test_a_login_that_was_taken_away_is_named_as_refused(alive: Cluster):
    async with alive.vhost.management() as api:
        (await api.delete("users/node-1")).raise_for_status()
    assert "refused" in (await problems(dict(alive.nodes["node-1"].agent.environment)))["broker"]


async def test_a_queue_that_another_host_consumes_is_named_as_occupied(alive: Cluster, tmp_path: Path):
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    (copy / "identity.json").write_bytes((alive.nodes["node-1"].data / "identity.json").read_bytes())
    (copy / "identity.json").chmod(0o600)
    found = await problems({**alive.nodes["node-1"].agent.environment, "NODE_DATA_DIR": str(copy)})
    assert "occupied" in found["queue"]


async def test_a_queue_that_is_missing_is_named(alive: Cluster):
    await alive.stop("master")  # which would make it again
    await alive.halt("node-1")
    async with alive.vhost.management() as api:
        (await api.delete(f"queues/{alive.vhost.name}/mp.node.1")).raise_for_status()
    assert "missing" in (await problems(dict(alive.nodes["node-1"].agent.environment)))["queue"]


async def test_a_broker_that_does_not_answer_is_named(env: dict[str, str]):
    enrolled(env, f"amqp://node-1:hunter2@127.0.0.1:{free_port()}/")
    found = await findings(env)
    assert "cannot be used" in told(found, "problem")["broker"]
    assert "hunter2" not in as_text(found)


async def test_a_data_directory_that_is_not_there_is_told_and_not_made(env: dict[str, str], tmp_path: Path):
    found = await findings({**env, "NODE_DATA_DIR": str(tmp_path / "not/yet")})
    assert "the agent makes it" in told(found, "ok")["data directory"]
    assert not (tmp_path / "not").exists()


async def test_a_data_directory_and_an_identity_that_are_open_to_others_are_named(env: dict[str, str]):
    enrolled(env, f"amqp://node-1:x@127.0.0.1:{free_port()}/")
    data = Path(env["NODE_DATA_DIR"])
    data.chmod(0o755)
    (data / "identity.json").chmod(0o644)
    found = await findings(env)
    assert "chmod 700" in told(found, "warning")["data directory"]
    assert "chmod 600" in told(found, "problem")["identity"]


async def test_an_identity_that_cannot_be_read_is_named(env: dict[str, str]):
    (Path(env["NODE_DATA_DIR"]) / "identity.json").write_text("{half")
    assert "maybe-node forget" in (await problems(env))["identity"]


async def test_a_local_copy_that_is_damaged_is_named(env: dict[str, str]):
    (Path(env["NODE_DATA_DIR"]) / "copy.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    assert "cannot be read" in (await problems(env))["local copy"]


async def test_a_local_copy_that_its_writer_holds_is_read_beside_it(env: dict[str, str]):
    from node.state.store import Store

    store = Store(Path(env["NODE_DATA_DIR"]) / "copy.db")
    store.belong_to("c/1")
    found = await findings(env)
    store.close()
    assert "whole" in told(found, "ok")["local copy"]


async def test_a_local_copy_of_another_node_is_pointed_out(env: dict[str, str]):
    from node.state.store import Store

    enrolled(env, f"amqp://node-1:x@127.0.0.1:{free_port()}/")
    store = Store(Path(env["NODE_DATA_DIR"]) / "copy.db")
    store.belong_to("another/9")
    store.close()
    assert "another node or cluster" in told(await findings(env), "warning")["local copy"]


async def test_an_enrolment_port_that_another_program_holds_is_named(env: dict[str, str]):
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(env["NODE_ENROL_PORT"])))
        other.listen()
        assert "enrolment port" in await problems(env)


@pytest.mark.parametrize(
    ("variable", "value"), [("NODE_LISTEN", "nowhere"), ("NODE_ENROL_PORT", "0"), ("THREE_PROXY", "/no/such")]
)
async def test_a_setting_that_cannot_be_read_is_named_and_the_rest_looked_at(
    env: dict[str, str], variable: str, value: str
):
    found = await findings({**env, variable: value})
    assert variable in told(found, "problem")["settings"]
    assert "data directory" in told(found, "ok")


async def test_a_certificate_for_clients_is_read_as_the_agent_reads_it(env: dict[str, str], tmp_path: Path):
    chain, key = Authority().issue(tmp_path, "proxy.example.org", days=20)
    given = {**env, "NODE_TLS_CERT": str(chain), "NODE_TLS_KEY": str(key)}
    assert "expires on" in told(await findings(given), "warning")["TLS certificate"]
    assert "no PEM file" in told(await findings({**given, "NODE_TLS_KEY": str(chain)}), "problem")["TLS certificate"]


async def test_a_listen_address_that_is_not_this_hosts_is_named(env: dict[str, str]):
    assert "203.0.113.9" in (await problems({**env, "NODE_LISTEN": "203.0.113.9"}))["NODE_LISTEN"]


@pytest.mark.parametrize(("said", "level"), [("3proxy-0.9.4", "warning"), ("3proxy-1.0.0", "ok"), ("hello", "warning")])
async def test_the_version_of_3proxy_is_judged(env: dict[str, str], tmp_path: Path, said: str, level: str):
    program = tmp_path / "3proxy"
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    assert "3proxy" in told(await findings({**env, "THREE_PROXY": str(program)}), level)


async def test_a_3proxy_of_another_system_is_named(env: dict[str, str], tmp_path: Path):
    program = tmp_path / "3proxy"
    program.write_bytes(b"\x7fELF nothing that runs here")
    program.chmod(0o755)
    assert "3proxy" in await problems({**env, "THREE_PROXY": str(program)})


async def test_an_exit_that_is_not_this_hosts_is_named_and_its_key_is_not(env: dict[str, str]):
    key = "0f" * 16
    exit_ = Exit(mode="ipv6_random", prefix="2001:db8:ffff::/64", key=key)
    hold(
        read_settings(env),
        ProxyRecord(id=1, version=1, content=1, protocol="http", port=20001, username="a", exit=exit_),
    )
    found = await problems(env)
    assert "2001:db8:ffff::/64" in found["exits"]
    assert key not in str(found)


def test_a_whole_copy_is_read_without_a_file_being_made(tmp_path: Path):
    from node.doctor.local_copy import inspect_copy

    path = tmp_path / "copy.db"
    db = sqlite3.connect(path)
    db.executescript("PRAGMA journal_mode=WAL; CREATE TABLE heads (owner TEXT, rev INTEGER);")
    db.close()
    inspect_copy(path, live=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy.db"]
