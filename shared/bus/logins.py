"""Trial of a login at the broker, for the doctors."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AuthenticationError,
    ChannelNotFoundEntity,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)
from pydantic import SecretStr

from shared.bus.connections import CONNECT_TIMEOUT_S, address_of, version_of
from shared.bus.failures import OUTSIDE_ERRORS

LoginState = Literal["accepted", "away", "login refused", "vhost refused"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginResult:
    """The broker's answer to a login. `consumers` counts those of the given queue, None when it does not exist."""

    state: LoginState
    reason: str = ""
    version: str = ""
    consumers: int | None = None


async def try_login(url: SecretStr, *, queue: str, timeout: float = CONNECT_TIMEOUT_S) -> LoginResult:
    """Log in once, count the consumers of a queue, and leave. Changes nothing at the broker."""
    address = address_of(url)
    try:
        async with asyncio.timeout(timeout), AsyncExitStack() as stack:
            connection = await aio_pika.connect(
                address, timeout=timeout, client_properties={"connection_name": f"maybe-doctor {address.user}"}
            )
            stack.push_async_callback(connection.close)
            consumers = await consumers_of(connection, queue)
            return LoginResult(state="accepted", version=version_of(connection), consumers=consumers)
    except ConnectionNotAllowed as error:
        return LoginResult(state="vhost refused", reason=str(error))
    except (AuthenticationError, ProbableAuthenticationError) as error:
        return LoginResult(state="login refused", reason=str(error))
    except TimeoutError:
        return LoginResult(state="away", reason=f"no answer within {timeout:g} s")
    except OUTSIDE_ERRORS as error:
        return LoginResult(state="away", reason=str(error) or type(error).__name__)


async def consumers_of(connection: AbstractConnection, queue: str) -> int | None:
    """Count the consumers of a queue; None when it does not exist."""
    channel = await connection.channel()
    try:
        return (await channel.declare_queue(queue, passive=True)).declaration_result.consumer_count
    except ChannelNotFoundEntity:
        return None
