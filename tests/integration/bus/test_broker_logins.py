"""A node's login at the broker, taken while it is used."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import aiormq

from master.broker import Broker, password_hash
from shared.proxies import NodeId
from shared.tasks import for_each
from tests.services.rabbitmq import Vhost

TIMES, AT_ONCE = 60, 10
"""RabbitMQ stumbled over a connection that was coming to its end about once in 16 times, and now and then missed one
that had just come in.
"""


async def test_a_login_that_is_taken_takes_a_connection_with_it_that_has_just_begun(vhost: Vhost, broker: Broker):
    hash_ = password_hash("a-secret")

    async def comes_and_goes(number: int) -> None:
        url = urlsplit(vhost.amqp_url)._replace(netloc=f"node-{number}:a-secret@{vhost.host}:{vhost.port}").geturl()
        await broker.ensure_node(NodeId(number), hash_)
        connection = await aiormq.connect(url)
        await broker.delete_login(NodeId(number))
        with suppress(aiormq.AMQPError):
            async with asyncio.timeout(10):
                await connection.closing

    await for_each(range(1, TIMES + 1), comes_and_goes, at_once=AT_ONCE)
