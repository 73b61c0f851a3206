"""A worker's handovers: it gives everything to another one, or takes everything from another one."""

import asyncio
import os
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from node.engine.builtin import log
from node.engine.builtin.frames import Message
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.worker.handover.channel import Channel
from node.engine.builtin.worker.handover.giver import STEP_S, give
from node.engine.builtin.worker.handover.leftovers import Leftovers
from node.engine.builtin.worker.handover.taker import HandoverError, Taker
from node.engine.builtin.worker.proxies import Proxies


class Handover:
    """`state`: while it is `giving` another worker takes over what runs here; then it is `leaving`, and ends with the
    last connection that could not be moved. `build` is the code that this worker runs.

    One that gives takes nothing more: what workers before it still have stays with them, until they are brought
    together with its successor.
    """

    def __init__(
        self, reactor: Reactor, proxies: Proxies, tasks: asyncio.TaskGroup, halt: Callable[[], None], build: str
    ) -> None:
        self.state: Literal["serving", "giving", "leaving"] = "serving"
        self.build = build
        self._reactor = reactor
        self._proxies = proxies
        self._group = tasks
        self._halt = halt
        self._tasks: set[asyncio.Task[None]] = set()
        self._giving: asyncio.Task[None] | None = None
        self._takings: dict[asyncio.Task[None], Taker] = {}
        self._remaining: Leftovers | None = None

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def give(self, connection: Socket) -> None:
        """Everything to the worker at the other end; what is left here when it is leaving. Raises ValueError."""
        if self.state == "giving":
            connection.close()
            raise ValueError("this worker is giving already")
        before = self._giving
        if before is not None:
            before.cancel()
        if self.state == "serving":
            self.state = "giving"
        self._giving = self._run(self._give(Channel(connection), before))

    def take(self, connection: Socket, giver: int, answer: Callable[[Message], None]) -> None:
        """Everything that the worker at the other end, whose pid is `giver`, gives; answered when it is here."""
        try:
            handle = os.pidfd_open(giver)
        except ProcessLookupError:
            handle = None
        taking = Taker(self._reactor, self._proxies, Channel(connection), handle)
        task = self._run(self._take(taking, answer))
        self._takings[task] = taking
        task.add_done_callback(self._takings.pop)

    def _run(self, handover: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(handover)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _give(self, channel: Channel, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            await self._take_no_more()
            given = await give(self._proxies, channel)
            if given:
                self.state = "leaving"
            if self.state == "leaving":
                self._remaining = self._remaining or Leftovers(self._proxies)
                await self._remaining.last(channel if given else None)
                self._halt()
        except Exception as error:  # noqa: BLE001 (a fault in a handover must not end what still runs here)
            log.fault("handover.fault", error)
        finally:
            channel.close()
            if self.state == "giving":
                self.state = "serving"

    async def _take_no_more(self) -> None:
        """Raises TimeoutError when a worker before this one has stopped amid a bundle."""
        async with asyncio.timeout(STEP_S):
            for task, taking in list(self._takings.items()):
                await taking.between_bundles()
                task.cancel()
                await asyncio.wait([task])

    async def _take(self, taking: Taker, answer: Callable[[Message], None]) -> None:
        try:
            told = await taking.until_left()
            log.write("handover.taken", **told)
            answer({"result": told})
            await taking.rest()
        except HandoverError as error:
            answer({"error": str(error)})
        except Exception as error:  # noqa: BLE001 (a fault in a handover must not end what already runs here)
            log.fault("handover.fault", error)
            answer({"error": f"a fault in the worker ({type(error).__name__})"})
        finally:
            taking.close()
