"""The link to RabbitMQ, and the only import of aio_pika.

A program has two connections: one to publish, which a memory or disk alarm of the broker blocks, and one to consume,
which it does not. They live and die as a pair; a supervisor makes them anew with back-off.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
    PublishError,
)
from pydantic import SecretStr
from yarl import URL

from shared.frames import Frames
from shared.messages import Header
from shared.tasks import Backoff

log = structlog.get_logger()

HEARTBEAT_S = 10
CONNECT_TIMEOUT_S = 10
PUBLISH_TIMEOUT_S = 10
REFUSED_WAIT_S = 15
"""Between two tries when the broker refuses the login: nothing heals that in milliseconds."""

RECONNECT_MOST_S = 3.0
"""Between two tries while the broker is away: what was asked of the master meanwhile is on the nodes within five
seconds of its return, and a thousand nodes still spread their log-ins over seconds."""

BusState = Literal["connecting", "up", "down", "refused", "occupied"]
"""refused: the broker does not accept the login. occupied: somebody else consumes this program's own queue."""

OUTSIDE_ERRORS = (AMQPError, OSError, TimeoutError, ChannelInvalidStateError)


def is_outside(error: Exception) -> bool:
    """Whether it is no bug of ours; what waits while we close a connection gets a bare Exception from aiormq."""
    return isinstance(error, OUTSIDE_ERRORS) or type(error) is Exception


class BusDown(Exception):
    """The broker did not take a message. It may still have: what is published must bear being doubled."""


class Unroutable(BusDown):
    """No queue is bound for this message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message to publish; `round` becomes its correlation_id, its own id when None."""

    exchange: str
    key: str
    type: str
    body: bytes
    header: Header | None
    round: str | None = None
    extra: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A message as the broker delivered it; `user_id` is proven by the broker, or None."""

    type: str | None
    body: bytes
    headers: dict[str, Any]
    message_id: str | None
    round: str | None
    user_id: str | None
    key: str


Handler = Callable[[Incoming], Awaitable[None]]


class Transport(TransportFactory):
    """The driver's own, behind Frames."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises AMQPConnectionError."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **kwargs)
        return Frames(reader), writer


class Link(aio_pika.Connection):
    """A connection that no message can end."""

    async def connect(self, timeout: Any = None) -> None:
        """Seconds. Raises AMQPError, OSError, TimeoutError."""
        self.kwargs = {**self.kwargs, "transport_factory": Transport()}
        await super().connect(timeout)


class Bus:
    """One program's link. `run` keeps it up; `publish` works while it is."""

    def __init__(
        self,
        url: SecretStr,
        *,
        program: str,
        queue: str,
        handler: Handler,
        prepare: Callable[[], Awaitable[None]] | None = None,
        exclusive: bool = False,
        lanes: int = 1,
        lane: Callable[[Incoming], int] = lambda _: 0,
        prefetch: int = 64,
        on_up: Callable[[], Awaitable[None]] | None = None,
        handle_s: float | None = None,
        refused_wait_s: float = REFUSED_WAIT_S,
        admit: Callable[[Incoming], bool] = lambda _: True,
    ) -> None:
        """Messages of one lane are handled one after the other, those of different lanes side by side.

        What `admit` turns away is dropped as it comes, before anything waits for its turn.

        `refused_wait_s` is between two tries while the broker does not accept the login.

        `handle_s` bounds the time of one message where every step of the handler may be given up; it is then dropped.

        `prepare` runs at every connect before the queue is consumed; its OSErrors count as "not connected".
        """
        self._url = URL(url.get_secret_value()).update_query(heartbeat=str(HEARTBEAT_S))
        self._program = program
        self._queue, self._handler, self._prepare = queue, handler, prepare
        self._exclusive, self._lane, self._prefetch, self._on_up = exclusive, lane, prefetch, on_up
        self._handle_s, self._admit, self._refused_wait_s = handle_s, admit, refused_wait_s
        self._lanes: list[asyncio.Queue[AbstractIncomingMessage]] = [asyncio.Queue() for _ in range(lanes)]
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self.state: BusState = "connecting"

    @property
    def login(self) -> str:
        """The user name by which the broker knows this program."""
        return self._url.user or "guest"

    async def run(self) -> None:
        """Keep connected and handle messages until cancelled; only a bug of ours ends it otherwise."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._work(lane))
            await self._supervise()

    async def publish(self, message: Outgoing) -> str:
        """Publish, wait for the broker's confirmation, answer the message's id. Raises BusDown."""
        channel = self._channel
        if channel is None:
            raise BusDown(f"not connected to the broker ({self.state})")
        message_id = uuid4().hex
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                exchange = self._exchanges.get(message.exchange)
                if exchange is None:
                    exchange = (
                        await channel.get_exchange(message.exchange, ensure=False)
                        if message.exchange
                        else channel.default_exchange
                    )
                    self._exchanges[message.exchange] = exchange
                await exchange.publish(self._properties(message, message_id), message.key, mandatory=True)
        except PublishError as error:
            raise Unroutable(f"no queue takes {message.key!r} of {message.exchange!r}") from error
        except Exception as error:
            if not is_outside(error):
                raise
            raise BusDown(f"the broker did not take the message: {type(error).__name__}") from error
        return message_id

    def _properties(self, message: Outgoing, message_id: str) -> aio_pika.Message:
        headers = message.header.model_dump(mode="json", exclude_defaults=True) if message.header else {}
        return aio_pika.Message(
            message.body,
            headers={**headers, **message.extra},
            content_type="application/json",
            type=message.type,
            message_id=message_id,
            correlation_id=message.round or message_id,
            timestamp=datetime.now(UTC),
            app_id=f"maybe-{self._program}",
            user_id=self.login,
            delivery_mode=aio_pika.DeliveryMode.NOT_PERSISTENT,
        )

    async def _supervise(self) -> None:
        backoff = Backoff(most_s=RECONNECT_MOST_S)
        while True:
            try:
                await self._session(backoff)
                self._enter("down")
            except (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed) as error:
                self._enter("refused", reason=str(error))
            except ChannelAccessRefused as error:
                self._enter("occupied" if "exclusive" in str(error) else "refused", reason=str(error))
            except OUTSIDE_ERRORS as error:
                self._enter("down", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._refused_wait_s if self.state == "refused" else backoff.next())

    async def _session(self, backoff: Backoff) -> None:
        """Connect, consume, and return when either connection has ended."""
        closed = asyncio.Event()

        def close(*_: object) -> None:
            closed.set()

        async with AsyncExitStack() as stack:
            transmit, receive = [await self._connect(stack, close, way) for way in ("publish", "consume")]
            async with asyncio.timeout(CONNECT_TIMEOUT_S * 3):
                if self._prepare is not None:
                    await self._prepare()
                channel = await transmit.channel(publisher_confirms=True, on_return_raises=True)
                consumer = await receive.channel()
                for each in (channel, consumer):
                    each.close_callbacks.add(close)
                await consumer.set_qos(prefetch_count=self._prefetch)
                queue = await consumer.get_queue(self._queue)
                await queue.consume(self._received, exclusive=self._exclusive)
            self._exchanges = {}
            self._channel = channel
            stack.callback(self._disconnect)
            self._enter("up")
            backoff.reset()
            if self._on_up is not None:
                await self._on_up()
            await closed.wait()

    async def _connect(self, stack: AsyncExitStack, close: Callable[..., None], way: str) -> AbstractConnection:
        connection = await aio_pika.connect(
            self._url,
            timeout=CONNECT_TIMEOUT_S,
            connection_class=Link,
            client_properties={"connection_name": f"maybe-{self._program} {self.login} {way}"},
        )
        connection.close_callbacks.add(close)
        stack.push_async_callback(self._close, connection)
        return connection

    async def _close(self, connection: AbstractConnection) -> None:
        """A dead peer must not hold up the next try."""
        try:
            async with asyncio.timeout(2):
                await connection.close()
        except OUTSIDE_ERRORS as error:
            log.debug("bus.close_failed", reason=type(error).__name__)

    def _disconnect(self) -> None:
        self._channel = None

    def _enter(self, state: BusState, reason: str = "") -> None:
        if state != self.state:
            (log.info if state == "up" else log.warning)(f"bus.{state}", **({"reason": reason} if reason else {}))
        self.state = state

    async def _received(self, message: AbstractIncomingMessage) -> None:
        told = incoming(message)
        if self._admit(told):
            self._lanes[self._lane(told) % len(self._lanes)].put_nowait(message)
        else:
            await self._acknowledge(message)

    async def _work(self, lane: asyncio.Queue[AbstractIncomingMessage]) -> None:
        while True:
            message = await lane.get()
            await self._handle(message)
            await self._acknowledge(message)

    async def _acknowledge(self, message: AbstractIncomingMessage) -> None:
        try:
            await message.ack()
        except Exception as error:
            if not is_outside(error):
                raise
            log.debug("message.ack_failed", reason=type(error).__name__)

    async def _handle(self, message: AbstractIncomingMessage) -> None:
        limit = asyncio.timeout(self._handle_s)
        try:
            async with limit:
                await self._handler(incoming(message))
        except BusDown as error:
            log.warning("message.answer_lost", type=message.type, reason=str(error))
        except TimeoutError:
            if not limit.expired():
                raise
            log.error("message.handler_stuck", type=message.type, key=message.routing_key, seconds=self._handle_s)


def incoming(message: AbstractIncomingMessage) -> Incoming:
    """The message without its driver."""
    return Incoming(
        type=message.type,
        body=message.body,
        headers=dict(message.headers),
        message_id=message.message_id,
        round=message.correlation_id,
        user_id=message.user_id,
        key=message.routing_key or "",
    )


LoginState = Literal["accepted", "away", "login refused", "vhost refused"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """How a broker took a login. `consumers` of the queue asked for; None: there is no such queue."""

    state: LoginState
    reason: str = ""
    version: str = ""
    consumers: int | None = None


async def try_login(url: SecretStr, *, queue: str, timeout: float = CONNECT_TIMEOUT_S) -> Login:
    """Log in once, look at that queue, and leave; nothing on the broker is changed."""
    address = URL(url.get_secret_value()).update_query(heartbeat=str(HEARTBEAT_S))
    try:
        async with asyncio.timeout(timeout), AsyncExitStack() as stack:
            connection = await aio_pika.connect(
                address, timeout=timeout, client_properties={"connection_name": f"maybe-doctor {address.user}"}
            )
            stack.push_async_callback(connection.close)
            consumers = await consumers_of(connection, queue)
            return Login(state="accepted", version=version_of(connection), consumers=consumers)
    except ConnectionNotAllowed as error:
        return Login(state="vhost refused", reason=str(error))
    except (AuthenticationError, ProbableAuthenticationError) as error:
        return Login(state="login refused", reason=str(error))
    except TimeoutError:
        return Login(state="away", reason=f"no answer within {timeout:g} s")
    except OUTSIDE_ERRORS as error:
        return Login(state="away", reason=str(error) or type(error).__name__)


async def consumers_of(connection: AbstractConnection, queue: str) -> int | None:
    """How many consume the queue; None when there is no such queue."""
    channel = await connection.channel()
    try:
        return (await channel.declare_queue(queue, passive=True)).declaration_result.consumer_count
    except ChannelNotFoundEntity:
        return None


def version_of(connection: AbstractConnection) -> str:
    """The broker's version as it greeted with; empty when it did not tell."""
    told = connection.transport.connection.server_properties.get("version") if connection.transport else b""
    return told.decode(errors="replace") if isinstance(told, bytes) else str(told or "")
