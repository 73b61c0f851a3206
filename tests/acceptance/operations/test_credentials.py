"""Passwords of the services are changed as the manual describes, while masters, nodes and clients go on."""

from pathlib import Path

import pytest

from tests.acceptance.conftest import eventually, made
from tests.acceptance.faults.test_streams import opened, streaming
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, succeeded, until
from tests.services.programs import Process

pytestmark = pytest.mark.long
OTHER, THIRD, SECRET = "maybe2", "maybe3", "another-secret-1"


async def test_another_administrator_of_the_broker_takes_over_master_by_master_without_a_lost_change(
    fleet: Cluster, client: Client
):
    await fleet.master()
    proxy = await made(fleet, node_ids=[1])
    async with streaming(await opened(client, [proxy], 10)):
        for user in (OTHER, THIRD):
            await add_administrator(fleet, user)
            for name in fleet.masters:
                await restarted(fleet, name, AMQP_URL=with_login(fleet, f"{user}:{SECRET}"))
                await made(fleet, node_ids=[2])
        await remove(fleet, OTHER)
        await made(fleet, node_ids=[1])
        assert await users(fleet) >= {THIRD, "node-1", "node-2"}
    await fleet.converged(within=30)


def with_login(fleet: Cluster, login: str) -> str:
    """The broker's address with another login."""
    scheme, _, rest = fleet.masters["master"].environment["AMQP_URL"].partition("://")
    return f"{scheme}://{login}@{rest.rpartition('@')[2]}"


async def add_administrator(fleet: Cluster, user: str) -> None:
    """Do what the first three lines of rabbitmqctl do."""
    async with fleet.vhost.management() as broker:
        body = {"password": SECRET, "tags": "administrator"}
        (await broker.put(f"users/{user}", json=body)).raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        (await broker.put(f"permissions/{fleet.vhost.name}/{user}", json=everything)).raise_for_status()


async def remove(fleet: Cluster, user: str) -> None:
    async with fleet.vhost.management() as broker:
        (await broker.delete(f"users/{user}")).raise_for_status()


async def users(fleet: Cluster) -> set[str]:
    async with fleet.vhost.management() as broker:
        return {user["name"] for user in (await broker.get("users")).raise_for_status().json()}


async def test_the_databases_password_changes_under_running_masters_that_are_restarted_one_by_one(
    lone: Cluster, client: Client, tmp_path: Path
):
    await lone.master()
    kept = await client.tunnel(await made(lone, node_ids=[1]))
    async with lone.postgres.admin.connection() as rows:
        await rows.execute(f"CREATE ROLE {OTHER} LOGIN PASSWORD 'first-secret' IN ROLE {lone.database.user} SUPERUSER")
    secret = tmp_path / "database_password"
    secret.write_text("first-secret\n")
    for name in lone.masters:
        await restarted(lone, name, DATABASE_USERNAME=OTHER, DATABASE_PASSWORD="", DATABASE_PASSWORD_FILE=str(secret))
    async with lone.postgres.admin.connection() as rows:
        await rows.execute(f"ALTER ROLE {OTHER} PASSWORD '{SECRET}'")
    for api in lone.clients.values():
        succeeded(await api.get("/nodes"))  # open connections stay
    secret.write_text(f"{SECRET}\n")
    for name in lone.masters:
        await restarted(lone, name)
        await made(lone, node_ids=[1])
    await eventually(lambda: both_reach_it(lone), 30)
    await kept.beat()


async def restarted(lone: Cluster, name: str, **settings: str) -> None:
    environment = {**lone.masters[name].environment, **settings}
    lone.masters[name].environment = {key: value for key, value in environment.items() if value}
    await lone.stop(name)
    await lone.start(name)


async def both_reach_it(lone: Cluster) -> bool:
    return all([(await api.get("/health/ready")).status_code == 200 for api in lone.clients.values()])


async def test_a_node_that_forgets_its_login_and_replaces_itself_has_another_one_and_cuts_no_stream(
    lone: Cluster, client: Client
):
    node = lone.nodes["node-1"]
    proxy = await made(lone, node_ids=[1])
    before = await password_hash(lone)
    async with streaming(await opened(client, [proxy], 10)):
        await lone.stop("node-1")
        command = [*node.agent.command, "forget"]
        forgetting = Process("forget", command, node.agent.log, node.agent.environment)
        await forgetting.start()
        await until(lambda: not forgetting.is_running, "the identity to be deleted", forgetting, must_run=False)
        await lone.start("node-1")
        body = await lone.challenge(node)
        succeeded(await lone.api.post("/nodes/1/replace", json=body))
        await made(lone, node_ids=[1])
    assert await password_hash(lone) != before
    await lone.converged(within=30)


async def password_hash(lone: Cluster) -> str:
    """What the database keeps of the node's login at the broker."""
    async with lone.database.connection() as rows:
        return await rows.fetchval("SELECT broker_password_hash FROM nodes WHERE id = 1")
