"""Trial of a login at the broker, for the doctors."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AuthenticationError,
    ChannelNotFoundEntity,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)
from pydantic import SecretStr

from shared.bus.addresses import BrokerAddresses, endpoint, login
from shared.bus.connections import CONNECT_TIMEOUT_S, certificate_end, connected, version_of
from shared.bus.failures import OUTSIDE_ERRORS, UntrustedBroker

LoginState = Literal["accepted", "away", "login refused", "vhost refused", "untrusted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginResult:
    """The answer to a login by the broker at `endpoint` (host:port).

    `consumers` counts those of the given queue, None when it does not exist. `certificate_ends_at` is the end of the
    broker's certificate, None without TLS.
    """

    endpoint: str
    state: LoginState
    reason: str = ""
    version: str = ""
    consumers: int | None = None
    certificate_ends_at: datetime | None = None


async def try_logins(
    addresses: BrokerAddresses, *, queue: str, timeout: float = CONNECT_TIMEOUT_S
) -> Sequence[LoginResult]:
    """Log in at each address side by side, count the consumers of a queue, and leave. Changes nothing at the broker."""
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(try_login(url, addresses.ca, queue, timeout)) for url in addresses.urls]
    return [each.result() for each in tries]


async def try_login(url: SecretStr, ca: str | None, queue: str, timeout: float) -> LoginResult:
    """Log in once at one address."""
    result = partial(LoginResult, endpoint=endpoint(url.get_secret_value()))
    try:
        async with asyncio.timeout(timeout), AsyncExitStack() as stack:
            name = f"maybe-doctor {login(url.get_secret_value())[0]}"
            connection = await connected(stack, url, ca, name, timeout)
            consumers = await consumers_of(connection, queue)
            end = certificate_end(connection)
            return result(
                state="accepted", version=version_of(connection), consumers=consumers, certificate_ends_at=end
            )
    except ConnectionNotAllowed as error:
        return result(state="vhost refused", reason=str(error))
    except (AuthenticationError, ProbableAuthenticationError) as error:
        return result(state="login refused", reason=str(error))
    except UntrustedBroker as error:
        return result(state="untrusted", reason=str(error))
    except TimeoutError:
        return result(state="away", reason=f"no answer within {timeout:g} s")
    except OUTSIDE_ERRORS as error:
        return result(state="away", reason=str(error) or type(error).__name__)


async def consumers_of(connection: AbstractConnection, queue: str) -> int | None:
    """Count the consumers of a queue; None when it does not exist."""
    channel = await connection.channel()
    try:
        return (await channel.declare_queue(queue, passive=True)).declaration_result.consumer_count
    except ChannelNotFoundEntity:
        return None
