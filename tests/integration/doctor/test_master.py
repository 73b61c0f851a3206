"""`maybe-master doctor` with a real database and broker: what is right is left alone, what is wrong is named."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from master.broker import Broker, password_hash
from master.doctor.examination import findings
from shared.doctor.findings import Finding, as_json, as_text, exit_code
from shared.proxies import NodeId
from tests.launch.registry import ROOT
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import Vhost

NODE = (
    "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ('brave-owl', '203.0.113.7', 'x', $1)"
    " RETURNING id"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def env(database: Database, vhost: Vhost) -> dict[str, str]:
    """As a master's that is rightly set up."""
    api = {"API_HOST": "127.0.0.1", "API_PORT": str(free_port()), "NODE_AMQP_URL": "amqps://broker.example:5671/"}
    return {**database.environment, **vhost.environment, **api}


@pytest.fixture
async def node(database: Database, broker: Broker) -> NodeId:
    """Enrolled, with its login on the broker, and it has just reported."""
    hash_ = password_hash("its password")
    async with database.connection() as rows:
        id_ = NodeId(await rows.fetchval(NODE, hash_))
        await rows.execute("UPDATE node_status SET online = true, session = 1, reported_at = now()")
    await broker.ensure_all({id_: hash_})
    return id_


@pytest.fixture
async def management(vhost: Vhost) -> AsyncIterator[httpx.AsyncClient]:
    async with vhost.management() as api:
        yield api


def told(found: list[Finding], level: str) -> dict[str, str]:
    return {finding.check: str(finding) for finding in found if finding.level == level}


async def problems(env: dict[str, str]) -> dict[str, str]:
    return told(await findings(env), "problem")


async def test_a_right_set_up_has_no_problem_and_no_warning_but_that_no_master_runs(env: dict[str, str], node: NodeId):
    found = await findings(env)
    assert exit_code(found) == 0, as_text(found)
    assert set(told(found, "warning")) <= {"authorization", "mp.master", "broker disk"}, as_text(found)


async def test_a_fresh_set_up_has_no_problem(env: dict[str, str], postgres: PostgreSQL):
    empty = await postgres.create("maybe_fresh")
    found = await findings({**env, **empty.environment})
    await postgres.drop("maybe_fresh")
    assert (exit_code(found), "steps are missing" in as_text(found)) == (0, True), as_text(found)


async def test_every_setting_that_is_missing_is_named_and_the_rest_is_looked_at(env: dict[str, str]):
    found = await findings({**env, "AMQP_URL": "", "API_PORT": "many", "DATABASE_NAM": "x"})
    text = as_text(found)
    assert "AMQP_URL: is not set" in text
    assert "API_PORT" in text
    assert "PostgreSQL: reachable" in text


async def test_a_name_that_is_nearly_right_is_pointed_out(env: dict[str, str]):
    del env["DATABASE_USERNAME"]
    found = await findings({**env, "DATABASE_USERNAMES": "secret-value"})
    assert "DATABASE_USERNAMES is set; did you mean DATABASE_USERNAME?" in as_text(found)
    assert "secret-value" not in as_text(found)


async def test_a_wrong_database_password_is_named_and_the_broker_still_looked_at(env: dict[str, str]):
    found = await findings({**env, "DATABASE_PASSWORD": "hunter2"})
    assert "DATABASE_PASSWORD" in told(found, "problem")["PostgreSQL"]
    assert "RabbitMQ version" in told(found, "ok")


async def test_a_missing_database_is_named(env: dict[str, str]):
    assert "DATABASE_NAME" in (await problems({**env, "DATABASE_NAME": "no_such"}))["PostgreSQL"]


async def test_a_user_that_may_not_read_the_tables_is_named(env: dict[str, str], database: Database):
    async with database.connection() as rows:
        await rows.execute(f"CREATE ROLE stranger_{database.name} LOGIN PASSWORD 'p'")
    try:
        found = await problems({**env, "DATABASE_USERNAME": f"stranger_{database.name}", "DATABASE_PASSWORD": "p"})
    finally:
        async with database.connection() as rows:
            await rows.execute(f"DROP ROLE stranger_{database.name}")
    assert "permission denied" in found["PostgreSQL"]


async def test_a_database_that_is_away_is_named(env: dict[str, str]):
    assert "cannot be used" in (await problems({**env, "DATABASE_PORT": str(free_port())}))["PostgreSQL"]


async def test_a_schema_of_a_newer_program_is_named(env: dict[str, str], database: Database):
    async with database.connection() as rows:
        await rows.execute("INSERT INTO migrations (version, name, sha256) VALUES (9999, '9999_next.sql', '')")
    assert "newer than this program" in (await problems(env))["schema"]


async def test_a_wrong_broker_password_is_named_at_both_doors(env: dict[str, str], vhost: Vhost):
    wrong = f"amqp://{vhost.user}:hunter2@{vhost.host}:{vhost.port}/{vhost.name}"
    found = await problems({**env, "AMQP_URL": wrong})
    assert {"RabbitMQ", "management API"} <= set(found)
    assert "refuses the login" in found["RabbitMQ"]


async def test_a_virtual_host_that_is_not_there_is_named(env: dict[str, str], vhost: Vhost):
    found = await problems({**env, "AMQP_URL": vhost.named("no-such").amqp_url})
    assert {"RabbitMQ", "vhost"} <= set(found)


async def test_a_login_that_is_no_administrators_is_named(
    env: dict[str, str], vhost: Vhost, management: httpx.AsyncClient
):
    name = f"plain-{vhost.name}"
    (await management.put(f"users/{name}", json={"password": "p", "tags": "management"})).raise_for_status()
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    (await management.put(f"permissions/{vhost.name}/{name}", json=rights)).raise_for_status()
    url = f"amqp://{name}:p@{vhost.host}:{vhost.port}/{vhost.name}"
    found = await problems({**env, "AMQP_URL": url})
    assert "no administrator" in found["management API"]
    assert "RabbitMQ" not in found


async def test_an_address_that_is_not_the_management_apis_is_named(env: dict[str, str], database: Database):
    wrong = {"RABBITMQ_MANAGEMENT_URL": f"http://{database.host}:{database.port}"}
    assert "management API" in await problems({**env, **wrong})


async def test_a_missing_queue_is_named(env: dict[str, str], node: NodeId, management: httpx.AsyncClient, vhost: Vhost):
    (await management.delete(f"queues/{vhost.name}/mp.node.{node}")).raise_for_status()
    found = await problems(env)
    assert f"mp.node.{node}" in found["broker queues"]
    assert "broker bindings" in found


async def test_a_missing_exchange_is_named(
    env: dict[str, str], node: NodeId, management: httpx.AsyncClient, vhost: Vhost
):
    (await management.delete(f"exchanges/{vhost.name}/mp.master")).raise_for_status()
    assert "mp.master" in (await problems(env))["broker exchanges"]


async def test_a_missing_login_is_named(env: dict[str, str], node: NodeId, management: httpx.AsyncClient):
    (await management.delete(f"users/node-{node}")).raise_for_status()
    assert f"node-{node}" in (await problems(env))["broker logins"]


async def test_a_login_with_another_password_than_the_database_knows_is_named(
    env: dict[str, str], node: NodeId, management: httpx.AsyncClient
):
    (await management.put(f"users/node-{node}", json={"password": "other", "tags": ""})).raise_for_status()
    assert "another password" in (await problems(env))["broker logins"]


@pytest.mark.parametrize("wrong", [{"configure": "^$", "write": "^$", "read": "^$"}, None])
async def test_a_node_with_wrong_permissions_is_named(
    env: dict[str, str], node: NodeId, management: httpx.AsyncClient, vhost: Vhost, wrong: dict[str, str] | None
):
    path = f"permissions/{vhost.name}/node-{node}"
    (await (management.put(path, json=wrong) if wrong else management.delete(path))).raise_for_status()
    assert f"node-{node}" in (await problems(env))["broker permissions"]


async def test_a_login_of_a_node_that_is_no_more_is_pointed_out(env: dict[str, str], broker: Broker):
    await broker.ensure_node(NodeId(77), password_hash("x"))
    assert "node-77" in told(await findings(env), "warning")["broker logins"]


async def test_own_permissions_that_are_too_narrow_are_named(
    env: dict[str, str], vhost: Vhost, management: httpx.AsyncClient
):
    rights = {"configure": ".*", "write": "^$", "read": ".*"}
    (await management.put(f"permissions/{vhost.name}/{quote(vhost.user)}", json=rights)).raise_for_status()
    assert "vhost permissions" in await problems(env)


async def test_parked_messages_are_pointed_out(
    env: dict[str, str], broker: Broker, management: httpx.AsyncClient, vhost: Vhost
):
    body = {"properties": {}, "routing_key": "mp.dead", "payload": "{", "payload_encoding": "string"}
    (await management.post(f"exchanges/{vhost.name}/amq.default/publish", json=body)).raise_for_status()
    async with asyncio.timeout(20):  # the management API's counts are some seconds old
        while "mp.dead" not in (found := told(await findings(env), "warning")):
            await asyncio.sleep(0.5)
    assert "holds 1 messages" in found["mp.dead"]


async def test_a_node_that_has_fallen_silent_is_named_while_another_reports(
    env: dict[str, str], node: NodeId, database: Database
):
    async with database.connection() as rows:
        await rows.execute(NODE.replace("brave-owl", "calm-fox").replace("'x'", "'y'"), "hash")
        await rows.execute(
            "UPDATE node_status SET session = 1, reported_at = now() - interval '5 minutes' WHERE node_id = $1", node
        )
        await rows.execute("UPDATE node_status SET session = 1 WHERE node_id <> $1", node)
    assert f"node {node} (brave-owl) for 30" in (await problems(env))["nodes"]


async def test_a_held_list_is_named_with_how_to_let_it_pass(env: dict[str, str], node: NodeId, database: Database):
    async with database.connection() as rows:
        await rows.execute("UPDATE node_status SET held_rev = 5, held_stops = 40, held_of = 41")
    assert f"POST /nodes/{node}/sync" in (await problems(env))["held list"]


async def test_a_broker_address_that_leads_nodes_to_themselves_is_named(env: dict[str, str], node: NodeId):
    found = await problems({**env, "NODE_AMQP_URL": "amqp://127.0.0.1:5672/"})
    assert f"node {node} (brave-owl)" in found["NODE_AMQP_URL"]


async def test_a_port_that_another_program_holds_is_named(env: dict[str, str]):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        found = await problems({**env, "API_PORT": str(other.getsockname()[1])})
    assert "held by another program" in found["API"]


async def test_it_changes_nothing(env: dict[str, str], vhost: Vhost, postgres: PostgreSQL):
    empty = await postgres.create("maybe_untouched")
    await findings({**env, **empty.environment})
    async with empty.connection() as connection, vhost.management() as api:
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        queues = (await api.get(f"queues/{vhost.name}")).json()
    await postgres.drop("maybe_untouched")
    assert (tables, queues) == (0, [])


async def test_no_secret_is_printed(env: dict[str, str], database: Database, vhost: Vhost, node: NodeId):
    secrets = [database.password, vhost.password, "hunter2"]
    for wrong in ({}, {"DATABASE_PASSWORD": "hunter2"}, {"AMQP_URL": "http://u:hunter2@h/"}):
        found = await findings({**env, **wrong})
        assert not [secret for secret in secrets if secret in as_text(found) + as_json(found)]


@pytest.mark.parametrize(("wrong", "code"), [({}, 0), ({"DATABASE_PASSWORD": "hunter2"}, 1)])
async def test_the_command_answers_json_and_an_exit_code(env: dict[str, str], wrong: dict[str, str], code: int):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "master", "doctor", "--json"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **env, **wrong},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert (process.returncode, json.loads(output)["ok"]) == (code, code == 0)
