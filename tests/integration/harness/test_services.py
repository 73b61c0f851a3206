"""The services that every other test stands on keep their own promises."""

from collections.abc import Awaitable, Callable

import aio_pika
import pytest

from tests.services.ports import PortError, bound, claim_block, outgoing_ports
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost


async def test_a_test_gets_a_database_with_the_schema_in_it(database: Database) -> None:
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM migrations") >= 1


async def test_a_test_gets_a_virtual_host_in_which_it_may_do_everything(vhost: Vhost) -> None:
    async with await aio_pika.connect(vhost.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("letters", durable=True)
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), routing_key="letters")
        message = await queue.get(timeout=5)
        assert message.body == b"hello"


async def test_dropping_a_virtual_host_takes_its_own_users_along(rabbitmq: RabbitMQ) -> None:
    vhost = await rabbitmq.create("short-lived")
    async with vhost.management() as api:
        await api.put("users/node-1", json={"password": "x", "tags": ""})
        await api.put("permissions/short-lived/node-1", json={"configure": "^$", "write": "^$", "read": "^$"})
        await rabbitmq.drop("short-lived")
        assert (await api.get("users/node-1")).status_code == 404


async def test_a_killed_postgres_comes_back_at_its_address_with_its_data(
    postgres: PostgreSQL, database: Database
) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE kept (n int)")
    await died_and_returned(postgres.kill, postgres.is_ready, postgres.start)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0


async def test_a_frozen_postgres_answers_again_after_the_thaw(postgres: PostgreSQL) -> None:
    await postgres.freeze()
    await postgres.thaw()
    assert await postgres.is_ready()


async def test_a_killed_broker_comes_back_at_its_address_with_its_queues(rabbitmq: RabbitMQ, vhost: Vhost) -> None:
    async with await aio_pika.connect(vhost.amqp_url) as connection:
        await (await connection.channel()).declare_queue("letters", durable=True)
    await died_and_returned(rabbitmq.kill, rabbitmq.is_ready, rabbitmq.start)
    async with await aio_pika.connect(vhost.amqp_url) as connection:
        await (await connection.channel()).declare_queue("letters", passive=True)


async def died_and_returned(
    kill: Callable[[], Awaitable[None]], is_ready: Callable[[], Awaitable[bool]], start: Callable[[], Awaitable[None]]
) -> None:
    await kill()
    assert not await is_ready()
    await start()


def test_a_block_of_ports_is_given_once_and_keeps_clear_of_outgoing_connections() -> None:
    block = claim_block()
    try:
        assert not set(range(block.first, block.first + 100)) & set(outgoing_ports())
        with pytest.raises(PortError, match=str(block.first)):
            claim_block(block.first)
    finally:
        block.close()


def test_a_block_is_not_given_while_somebody_holds_a_port_of_it() -> None:
    block = claim_block()
    first = block.first
    block.close()
    held = bound(first + 7)
    try:
        with pytest.raises(PortError):
            claim_block(first)
    finally:
        if held:
            held.close()
