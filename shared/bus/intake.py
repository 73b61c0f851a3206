"""Intake of messages from a program's queue: each is admitted, handled in its lane, and acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from shared.bus.envelopes import Incoming, incoming
from shared.bus.failures import BusDown, is_outside

log = structlog.get_logger()

Handler = Callable[[Incoming], Awaitable[None]]


class Intake:
    """A queue and its handler. Messages of one lane are handled in order, different lanes concurrently."""

    def __init__(
        self,
        queue: str,
        handler: Handler,
        *,
        exclusive: bool = False,
        lanes: int = 1,
        lane: Callable[[Incoming], int] = lambda _: 0,
        prefetch: int = 64,
        handle_s: float | None = None,
        admit: Callable[[Incoming], bool] = lambda _: True,
    ) -> None:
        """Messages that `admit` rejects are dropped on arrival, before they wait in a lane.

        `handle_s` limits the time of one message, which is then dropped; every step of the handler must bear that.
        """
        self._queue, self._handler, self._exclusive, self._prefetch = queue, handler, exclusive, prefetch
        self._lane, self._handle_s, self._admit = lane, handle_s, admit
        self._lanes: list[asyncio.Queue[AbstractIncomingMessage]] = [asyncio.Queue() for _ in range(lanes)]
        self._consumer: tuple[AbstractQueue, str] | None = None

    async def run(self) -> None:
        """Handle messages until cancelled, over any number of connections."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._run_lane(lane))

    async def consume(self, channel: AbstractChannel) -> None:
        """Start consuming on this channel. Raises AMQPError, OSError."""
        await channel.set_qos(prefetch_count=self._prefetch)
        await self._consume(await channel.get_queue(self._queue))

    async def _consume(self, queue: AbstractQueue) -> None:
        self._consumer = queue, await queue.consume(self._received, exclusive=self._exclusive)

    async def pause(self) -> None:
        """Leave the queue to another consumer; messages that were received are handled. Raises AMQPError, OSError."""
        if self._consumer is not None:
            queue, tag = self._consumer
            await queue.cancel(tag)

    async def resume(self) -> None:
        """Consume the queue again, after `pause`, on the same channel. Raises AMQPError, OSError."""
        if self._consumer is not None:
            await self._consume(self._consumer[0])

    async def _received(self, message: AbstractIncomingMessage) -> None:
        envelope = incoming(message)
        if self._admit(envelope):
            self._lanes[self._lane(envelope) % len(self._lanes)].put_nowait(message)
        else:
            await acknowledge(message)

    async def _run_lane(self, lane: asyncio.Queue[AbstractIncomingMessage]) -> None:
        while True:
            message = await lane.get()
            await self._handle(message)
            await acknowledge(message)

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


async def acknowledge(message: AbstractIncomingMessage) -> None:
    """Acknowledge a message, unless its connection is gone."""
    try:
        await message.ack()
    except Exception as error:
        if not is_outside(error):
            raise
        log.debug("message.ack_failed", reason=type(error).__name__)
