"""Client of RabbitMQ: keeps a program connected and publishes its messages.

A program has two connections: one to publish, which a memory or disk alarm of the broker blocks, and one to consume,
which no alarm blocks. When either ends, both are closed and made again with back-off.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from math import inf
from uuid import uuid4

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aiormq.exceptions import (
    AuthenticationError,
    ChannelAccessRefused,
    ConnectionNotAllowed,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)
from pydantic import SecretStr

from shared.bus.addresses import BrokerAddresses, endpoint
from shared.bus.clear_text import ADVICE, in_clear_text
from shared.bus.confirmations import Confirmations
from shared.bus.connections import CONNECT_TIMEOUT_S, connected, is_blocked, version_of
from shared.bus.envelopes import Outgoing, outgoing
from shared.bus.failures import (
    OUTSIDE_ERRORS,
    AddressFailure,
    BusDown,
    BusState,
    Unroutable,
    UntrustedBroker,
    is_outside,
)
from shared.bus.intake import Intake
from shared.tasks import Backoff, wait_for_event

log = structlog.get_logger()

REFUSED_WAIT_S = 15
"""Time between two tries while the broker refuses the login, which no quick retry heals."""

RECONNECT_MOST_S = 3.0
"""Longest time between two tries while the broker is away. Changes reach the nodes within five seconds of its return,
and a thousand nodes still spread their logins over seconds."""


class Bus:
    """The connections of one program. `run` keeps them up, and `publish` works while they are."""

    def __init__(
        self,
        addresses: BrokerAddresses,
        *,
        program: str,
        intake: Intake,
        prepare: Callable[[], Awaitable[None]] | None = None,
        on_up: Callable[[], Awaitable[None]] | None = None,
        refused_wait_s: float = REFUSED_WAIT_S,
    ) -> None:
        """The addresses are tried in turn; after a loss, those after the lost one come first.

        `prepare` runs at every connect before the queue is consumed, and `on_up` after it; an OSError of `prepare`
        counts as "not connected". `refused_wait_s` is the time between two tries while the broker refuses the login.
        """
        self._addresses, self._program, self._intake = addresses, program, intake
        self._place = 0
        self._prepare, self._on_up, self._refused_wait_s = prepare, on_up, refused_wait_s
        self._channel: AbstractChannel | None = None
        self._transmit: AbstractConnection | None = None
        self._ended = asyncio.Event()
        self._exchanges: dict[str, AbstractExchange] = {}
        self._confirmations, self._unproven = Confirmations(), Backoff(most_s=RECONNECT_MOST_S)
        self.state: BusState = "connecting"
        self.failures: tuple[AddressFailure, ...] = ()
        """One for each address, of the last time that all were tried in vain."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change of `state` and `failures`."""
        self._reason = ""
        self._due = asyncio.Event()
        self.broker_version: str | None = None

    @property
    def login(self) -> str:
        """The program's user name at the broker."""
        return self._addresses.login[0]

    @property
    def url(self) -> SecretStr:
        """The address in use, or tried now."""
        return self._addresses.urls[self._place]

    async def run(self) -> None:
        """Stay connected and handle messages until cancelled. Only a bug of ours ends it otherwise."""
        if exposed := in_clear_text(url.get_secret_value() for url in self._addresses.urls):
            log.warning("bus.clear_text", brokers=exposed, advice=ADVICE)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._intake.run())
            await self._stay_connected()

    def hurry(self) -> None:
        """Try again now instead of waiting: what stood in the way may be gone."""
        self._due.set()

    async def pause(self) -> None:
        """Stop consuming, and go on publishing. What the connection does not take ends it, and with it the pause."""
        await self._adjust(self._intake.pause)

    async def resume(self) -> None:
        """Consume again after `pause`."""
        await self._adjust(self._intake.resume)

    async def _adjust(self, act: Callable[[], Awaitable[None]]) -> None:
        """Change the consumer of the open connection, if there is one. One that fails has ended or is about to."""
        if self.state != "up":
            return
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await act()
        except Exception as error:
            if not is_outside(error):
                raise
            log.debug("bus.consumer_not_changed", reason=type(error).__name__)

    async def publish(self, message: Outgoing) -> str:
        """Publish, wait for the broker's confirmation, and return the message's id. Raises BusDown."""
        channel = self._channel
        if channel is None:
            raise BusDown(f"not connected to the broker ({self.state})")
        message_id = uuid4().hex
        envelope = outgoing(message, message_id, program=self._program, login=self.login)
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(self._confirmations.limit_s):
                exchange = await self._exchange(channel, message.exchange)
                await exchange.publish(envelope, message.key, mandatory=True)
        except PublishError as error:
            raise Unroutable(f"no queue takes {message.key!r} of {message.exchange!r}") from error
        except Exception as error:
            if not is_outside(error):
                raise
            if isinstance(error, TimeoutError | DeliveryError) and channel is self._channel:
                await self._leave_if_stuck(sent_at if isinstance(error, TimeoutError) else -inf)
            raise BusDown(f"the broker did not take the message: {type(error).__name__}") from error
        self._confirmations.confirmed(time.monotonic())
        self._unproven.reset()
        return message_id

    async def _leave_if_stuck(self, since: float) -> None:
        """End the connection if the broker confirms nothing over it, unless an alarm keeps it from taking messages."""
        if self._transmit is None or await is_blocked(self._transmit):
            return
        if self._confirmations.is_stuck(time.monotonic(), since):
            log.warning("bus.unconfirmed", broker=endpoint(self.url.get_secret_value()))
            self._ended.set()

    async def _exchange(self, channel: AbstractChannel, name: str) -> AbstractExchange:
        """Get an exchange once per connection; the empty name is the broker's default exchange."""
        if name not in self._exchanges:
            found = await channel.get_exchange(name, ensure=False) if name else channel.default_exchange
            self._exchanges[name] = found
        return self._exchanges[name]

    async def _stay_connected(self) -> None:
        backoff = Backoff(most_s=RECONNECT_MOST_S)
        while True:
            failures = list[AddressFailure]()
            for _ in self._addresses.urls:
                await self._stay_at_one(backoff)
                heed_cancellation()
                failures.append(AddressFailure(endpoint(self.url.get_secret_value()), self.state, self._reason))
                self._place = (self._place + 1) % len(self._addresses.urls)
            self._due.clear()
            self.failures = tuple(failures)
            self.on_change()
            is_refused = self.state in ("refused", "untrusted")
            await wait_for_event(self._due, self._refused_wait_s if is_refused else backoff.next())

    async def _stay_at_one(self, backoff: Backoff) -> None:
        """Connect to the address in turn; return when that fails, or when the connection has ended."""
        try:
            await self._connect_once(backoff)
            self._enter("down")
        except (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed) as error:
            self._enter("refused", reason=str(error))
        except ChannelAccessRefused as error:
            self._enter("occupied" if "exclusive" in str(error) else "refused", reason=str(error))
        except UntrustedBroker as error:
            self._enter("untrusted", reason=str(error))
        except OUTSIDE_ERRORS as error:
            self._enter("down", reason=f"{type(error).__name__}: {error}")

    async def _connect_once(self, backoff: Backoff) -> None:
        """Connect and consume; return when either connection has ended."""
        self._ended = ended = asyncio.Event()

        def close(*_: object) -> None:
            ended.set()

        async with AsyncExitStack() as stack:
            names = [f"maybe-{self._program} {self.login} {way}" for way in ("publish", "consume")]
            transmit, receive = [await connected(stack, self.url, self._addresses.ca, name) for name in names]
            for connection in (transmit, receive):
                connection.close_callbacks.add(close)
            self.broker_version = version_of(transmit) or None
            async with asyncio.timeout(CONNECT_TIMEOUT_S * 3):
                if self._prepare is not None:
                    await self._prepare()
                channel = await transmit.channel(publisher_confirms=True, on_return_raises=True)
                consumer = await receive.channel()
                for each in (channel, consumer):
                    each.close_callbacks.add(close)
                (await consumer.get_underlay_channel()).on_consumer_cancel_callbacks.add(close)
                await self._intake.consume(consumer)
            self._exchanges = {}
            self._channel, self._transmit = channel, transmit
            self._confirmations.opened()
            stack.callback(self._drop_channel)
            self._enter("up")
            backoff.reset()
            if self._on_up is not None:
                await self._on_up()
            await ended.wait()
        if not self._confirmations.is_proven:
            await asyncio.sleep(self._unproven.next())

    def _drop_channel(self) -> None:
        self._channel = self._transmit = None

    def _enter(self, state: BusState, reason: str = "") -> None:
        if state != self.state:
            (log.info if state == "up" else log.warning)(f"bus.{state}", **({"reason": reason} if reason else {}))
        self.state, self._reason = state, reason
        if state == "up":
            self.failures = ()
        self.on_change()


def heed_cancellation() -> None:
    """Raise CancelledError if this task was cancelled: the driver drops a cancellation that comes while it fails to
    connect, and raises its own error."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
