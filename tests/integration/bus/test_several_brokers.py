"""Several brokers of one cluster: each program moves on to the next one when its own is away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from master.broker import Broker, password_hash
from master.errors import BrokerAway
from master.management import ManagementClient
from shared.bus.addresses import addresses
from shared.bus.client import Bus
from shared.bus.envelopes import Incoming, Outgoing
from shared.bus.failures import BusDown
from shared.bus.intake import Intake
from shared.proxies import NodeId
from tests.integration.bus.conftest import nothing, running
from tests.services.rabbitmq import Vhost
from tests.services.relay import Relay, relays


@pytest.fixture
async def ways(vhost: Vhost) -> AsyncIterator[list[Relay]]:
    """Ports that stand for the AMQP ports of two brokers."""
    async with relays(2, vhost.host, vhost.port) as made:
        yield made


@pytest.fixture
async def doors(vhost: Vhost) -> AsyncIterator[list[Relay]]:
    """Ports that stand for the management API of three brokers."""
    parts = urlsplit(vhost.management_url)
    async with relays(3, str(parts.hostname), parts.port or 0) as made:
        yield made


@pytest.fixture
async def client(vhost: Vhost, doors: list[Relay]) -> AsyncIterator[ManagementClient]:
    urls = tuple(f"http://127.0.0.1:{door.own_port}" for door in doors)
    made = ManagementClient(replace(vhost.management_api, urls=urls), answer_s=1)
    yield made
    await made.close()


def at(vhost: Vhost, ways: list[Relay]) -> list[str]:
    return [replace(vhost, port=way.own_port).amqp_url for way in ways]


async def moves_to(bus: Bus, url: str) -> None:
    async with asyncio.timeout(15):
        while bus.state != "up" or bus.url.get_secret_value() != url:
            await asyncio.sleep(0.01)


async def test_a_program_whose_broker_dies_moves_on_to_the_next_and_stays_there_and_comes_back_when_that_dies(
    two_nodes: Broker, vhost: Vhost, ways: list[Relay]
):
    first, second = at(vhost, ways)
    got: asyncio.Queue[Incoming] = asyncio.Queue()
    bus = Bus(addresses([first, second]), program="test", intake=Intake("mp.node.1", got.put))
    async with running(bus):
        await moves_to(bus, first)
        ways[0].cut()
        await moves_to(bus, second)
        await ways[0].open()
        await bus.publish(Outgoing(exchange="mp.node", key="1", type="check-sync", body=b"[]", header=None))
        async with asyncio.timeout(5):
            assert (await got.get()).type == "check-sync"
        assert bus.url.get_secret_value() == second
        ways[1].cut()
        await moves_to(bus, first)


async def test_a_program_whose_broker_confirms_nothing_moves_on_to_the_next(
    two_nodes: Broker, vhost: Vhost, ways: list[Relay]
):
    first, second = at(vhost, ways)
    bus = Bus(addresses([first, second]), program="test", intake=Intake("mp.node.1", nothing))
    message = Outgoing(exchange="mp.node", key="2", type="check-sync", body=b"[]", header=None)
    async with running(bus):
        await moves_to(bus, first)
        ways[0].freeze()
        with pytest.raises(BusDown, match="TimeoutError"):
            await bus.publish(message)
        await moves_to(bus, second)
        await bus.publish(message)


async def test_the_management_api_of_the_next_broker_is_used_until_that_is_away(
    client: ManagementClient, doors: list[Relay]
):
    async def served_by() -> int:
        assert (await client.request("GET", "/api/overview")).status_code == 200
        return client.place

    assert await served_by() == 0
    doors[0].cut()
    assert await served_by() == 1
    await doors[0].open()
    assert await served_by() == 1
    doors[1].cut()
    doors[2].cut()
    assert await served_by() == 0


async def test_a_management_api_that_takes_connections_and_answers_nothing_is_passed_over(
    client: ManagementClient, doors: list[Relay]
):
    doors[0].freeze()
    assert (await client.request("GET", "/api/overview")).status_code == 200
    assert client.place == 1


async def test_logins_are_made_while_a_broker_is_away_and_a_clear_error_comes_when_all_are(
    vhost: Vhost, doors: list[Relay]
):
    urls = tuple(f"http://127.0.0.1:{door.own_port}" for door in doors)
    broker = Broker(replace(vhost.management_api, urls=urls))
    doors[0].cut()
    await broker.ensure_all({NodeId(1): password_hash("one")})
    assert await broker.repair_logins({NodeId(1): password_hash("one")}) == [1]
    for door in doors:
        door.cut()
    with pytest.raises(BrokerAway, match="at any of its 3 addresses"):
        await broker.ensure_node(NodeId(2), password_hash("two"))
    await broker.close()
