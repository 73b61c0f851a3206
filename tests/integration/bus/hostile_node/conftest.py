"""A node that was enrolled and has turned, an honest one beside it, and the master's half of the bus before both."""

from collections.abc import AsyncIterator

import pytest

from master.broker import Broker, password_hash
from master.db.database import Database
from shared.proxies import NodeId
from tests.master.node_bus import HONEST, THIEF, Login, Master, served
from tests.services.postgres import Database as Address
from tests.services.rabbitmq import Vhost


@pytest.fixture
async def master(rows: Database, database: Address, broker: Broker, vhost: Vhost) -> AsyncIterator[Master]:
    async with database.connection() as connection:
        for node in (THIEF, HONEST):
            await connection.execute(
                "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ($1, '127.0.0.1', $1, 'h')",
                f"n{node}",
            )
            await connection.execute(
                "INSERT INTO proxies (node_id, port, protocol, username, password) VALUES ($1, 20000, 'http', 'u', $2)",
                node,
                f"secret-of-{node}",
            )
    await broker.ensure_all({NodeId(node): password_hash(f"word-{node}") for node in (THIEF, HONEST)})
    async for made in served(rows, database, broker, vhost):
        yield made


@pytest.fixture
async def thief(master: Master) -> AsyncIterator[Login]:
    login = await master.login(THIEF)
    yield login
    await login.connection.close()


@pytest.fixture
async def honest(master: Master) -> AsyncIterator[Login]:
    login = await master.login(HONEST)
    yield login
    await login.connection.close()
