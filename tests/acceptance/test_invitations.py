"""Hosts that enrol themselves: real agents in networks of their own, and a real master."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster.cluster import Cluster, cluster, succeeded, until
from tests.cluster.invited import InvitedAgent, captured, data_of, invited_agent
from tests.cluster.networks import require
from tests.services.folders import Folder
from tests.services.ports import PortBlock, claim_block
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where

DOWNLOADS, ENROL = 60, 61
"""Offsets in the test's block of ports."""


@pytest.fixture
def block() -> Iterator[PortBlock]:
    with claim_block().held() as block:
        yield block


@pytest.fixture
async def inviting(
    where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost, block: PortBlock
) -> AsyncIterator[Cluster]:
    """A master that listens for announcements in networks of all nodes."""
    require("ip", "iptables", "nsenter")
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    settings = {"DOWNLOAD_PORT": str(block.port(DOWNLOADS)), "ENROL_PORTS": str(block.port(ENROL))}
    async with cluster(replace(where, folder=folder), postgres, rabbitmq, database, vhost, **settings) as made:
        yield made


async def invite(fleet: Cluster, **members: Any) -> dict[str, Any]:
    return succeeded(await fleet.api.post("/invitations", json=members)).json()


async def nodes_of(fleet: Cluster, invitation: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes that came in by it and are online."""
    ids = succeeded(await fleet.api.get(f"/invitations/{invitation['id']}")).json()["node_ids"]
    items = succeeded(await fleet.api.get("/nodes?limit=1000")).json()["items"]
    return [node for node in items if node["id"] in ids and node["status"]["state"] == "online"]


async def came_in(fleet: Cluster, invitation: dict[str, Any], count: int) -> list[dict[str, Any]]:
    async def are_all() -> list[dict[str, Any]]:
        found = await nodes_of(fleet, invitation)
        return found if len(found) == count else []

    return await until(are_all, f"{count} nodes to come in", fleet.masters["master"])


async def test_hosts_enrol_themselves_also_through_a_gateway_and_nothing_secret_is_on_their_wires(
    inviting: Cluster, block: PortBlock
):
    invitation = await invite(inviting, uses=2, name_prefix="fra")
    ports = block.port(DOWNLOADS), block.port(ENROL)
    await inviting.stop("master")
    plain = await invited_agent(inviting, 1, invitation["code"], *ports)
    hidden = await invited_agent(inviting, 2, invitation["code"], *ports, behind_gateway=True)
    try:
        with captured(plain.network) as wire, captured(hidden.network) as other:
            await inviting.start("master")
            nodes = await came_in(inviting, invitation, 2)
        assert sorted(node["ip"] for node in nodes) == [plain.address, hidden.address]
        assert "POST /announce" in wire.text
        assert "POST /enrol/config" in other.text
        for secret in secrets_of(invitation, plain, hidden):
            assert secret not in wire.text + other.text
            assert secret not in plain.agent.log.read_text() + hidden.agent.log.read_text()
    finally:
        await plain.close()
        await hidden.close()


def secrets_of(invitation: dict[str, Any], *agents: InvitedAgent) -> list[str]:
    """The invitation's secret, and the configurations of the nodes."""
    configs = [json.loads((data_of(agent) / "identity.json").read_text())["config"] for agent in agents]
    logins = [str(urlsplit(config["amqp_urls"][0]).password) for config in configs]
    code = str(invitation["code"]).partition("-")[2]
    return [code, code.replace("-", ""), *logins, *(config["cluster"] for config in configs)]


@pytest.mark.long
async def test_of_thirty_three_hosts_that_start_together_thirty_are_enrolled(inviting: Cluster, block: PortBlock):
    invitation = await invite(inviting, uses=30)
    agents: list[InvitedAgent] = []
    try:
        for number in range(1, 34):
            agents.append(
                await invited_agent(inviting, number, invitation["code"], block.port(DOWNLOADS), block.port(ENROL))
            )
        nodes = await came_in(inviting, invitation, 30)
        refused = await until(lambda: refusals(agents, 3), "3 refusals", inviting.masters["master"])
        assert len({node["ip"] for node in nodes}) == 30
        assert {agent.address for agent in refused}.isdisjoint(node["ip"] for node in nodes)
        assert succeeded(await inviting.api.get(f"/invitations/{invitation['id']}")).json()["used"] == 30
    finally:
        async with asyncio.TaskGroup() as group:
            for agent in agents:
                group.create_task(agent.close())


def refusals(agents: list[InvitedAgent], count: int) -> list[InvitedAgent]:
    """The agents whose invitation was refused, when there are so many."""
    found = [agent for agent in agents if "invitation.refused" in agent.agent.log.read_text()]
    return found if len(found) == count else []
