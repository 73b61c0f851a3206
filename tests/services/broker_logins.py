"""Logins at the broker with what a node was given in its enrolment."""

import aio_pika
from aio_pika.abc import AbstractConnection

from shared.bus.addresses import ssl_context
from shared.enrolment.bodies import NodeConfig


async def connected_as(config: NodeConfig) -> AbstractConnection:
    """Log in at the first address of this configuration. Raises AMQPError."""
    trust = None if config.ca is None else ssl_context(config.ca)
    return await aio_pika.connect(config.amqp_urls[0].get_secret_value(), ssl_context=trust)
