"""Connections to the broker: opening and closing one."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime
from ssl import SSLCertVerificationError
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import AMQPConnectionError, ConnectionNotAllowed, InvalidFrameError
from pydantic import SecretStr
from yarl import URL

from shared.bus.addresses import SYSTEM, ssl_context
from shared.bus.failures import OUTSIDE_ERRORS, UntrustedBroker
from shared.bus.frames import RepairingReader
from shared.certificates import end_of, refusal

log = structlog.get_logger()

HEARTBEAT_S = 10
CONNECT_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 2
LOOK_S = 0.01


class Transport(TransportFactory):
    """The driver's transport with a RepairingReader in front.

    `certificate_ends_at` is the end of the peer's certificate, once a connection with TLS is open.
    """

    def __init__(self) -> None:
        self.certificate_ends_at: datetime | None = None
        self.reader: RepairingReader | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open the transport. Raises AMQPConnectionError, UntrustedBroker."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        try:
            reader, writer = await factory.create(url, **kwargs)
        except AMQPConnectionError as error:
            if isinstance(error.__cause__, SSLCertVerificationError):
                raise UntrustedBroker(f"the broker's {refusal(error.__cause__)}") from error
            raise
        self.certificate_ends_at = end_of(writer.get_extra_info("peercert"))
        self.reader = RepairingReader(reader)
        return self.reader, writer


class SafeConnection(aio_pika.Connection):
    """A connection that no undecodable message can end."""

    async def connect(self, timeout: Any = None) -> None:
        """Connect within `timeout` seconds. Raises AMQPError, OSError, TimeoutError, UntrustedBroker.

        The driver calls the refusal of a virtual host an invalid frame, and drops its reason.
        """
        self.used_transport = Transport()
        self.kwargs = {**self.kwargs, "transport_factory": self.used_transport}
        try:
            await super().connect(timeout)
        except InvalidFrameError as error:
            reader = self.used_transport.reader
            if reader is None or not reader.refusal:
                raise
            raise ConnectionNotAllowed(reader.refusal) from error


def certificate_end(connection: AbstractConnection) -> datetime | None:
    """Return the end of the broker's certificate; None without TLS."""
    return connection.used_transport.certificate_ends_at if isinstance(connection, SafeConnection) else None


def address_of(url: SecretStr) -> URL:
    """Parse the broker's URL and add our heartbeat."""
    return URL(url.get_secret_value()).update_query(heartbeat=str(HEARTBEAT_S))


async def connected(
    stack: AsyncExitStack, url: SecretStr, ca: str | None, name: str, timeout: float = CONNECT_TIMEOUT_S
) -> AbstractConnection:
    """Open a connection of this name, which the stack closes.

    Raises AMQPError, OSError, TimeoutError, UntrustedBroker.
    """
    address = address_of(url)
    connection = await aio_pika.connect(
        address,
        timeout=timeout,
        connection_class=SafeConnection,
        client_properties={"connection_name": name},
        ssl_context=ssl_context(ca or SYSTEM) if address.scheme == "amqps" else None,
    )
    stack.push_async_callback(close, connection)
    return connection


async def close(connection: AbstractConnection) -> None:
    """Close the connection, for at most CLOSE_TIMEOUT_S: a dead peer must not delay the next try."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()
    except OUTSIDE_ERRORS as error:
        log.debug("bus.close_failed", reason=type(error).__name__)


def version_of(connection: AbstractConnection) -> str:
    """Return the broker's version from its greeting; empty when it has none."""
    version = connection.transport.connection.server_properties.get("version") if connection.transport else b""
    return version.decode(errors="replace") if isinstance(version, bytes) else str(version or "")


async def is_blocked(connection: AbstractConnection) -> bool:
    """Whether an alarm of the broker keeps this connection from publishing (RabbitMQ docs, "Blocked Connections")."""
    try:
        async with asyncio.timeout(LOOK_S):
            if connection.transport is not None:
                await connection.transport.ready()
    except TimeoutError:
        return True
    return False
