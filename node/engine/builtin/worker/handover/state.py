"""The handovers of a worker, in which it gives everything to another one or takes everything from another one."""

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
    """While a worker is `giving`, another one takes over; then it is `leaving`, and ends with the last connection that
    could not be moved. `build` identifies the code that it runs.

    A worker that gives takes nothing more: leftovers of earlier workers stay with those until they are connected to its
    successor.
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
        self._giver: asyncio.Task[None] | None = None
        self._takers: dict[asyncio.Task[None], Taker] = {}
        self._leftovers: Leftovers | None = None

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def give(self, connection: Socket) -> None:
        """Give everything to the worker at the other end; in state `leaving`, the leftovers. Raises ValueError."""
        if self.state == "giving":
            connection.close()
            raise ValueError("this worker is giving already")
        before = self._giver
        if before is not None:
            before.cancel()
        if self.state == "serving":
            self.state = "giving"
        self._giver = self._run(self._give(Channel(connection), before))

    def take(self, connection: Socket, giver_pid: int, answer: Callable[[Message], None]) -> None:
        """Take everything that the worker at the other end, process `giver_pid`, gives; answered when it is here."""
        try:
            handle = os.pidfd_open(giver_pid)
        except ProcessLookupError:
            handle = None
        taker = Taker(self._reactor, self._proxies, Channel(connection), handle)
        task = self._run(self._take(taker, answer))
        self._takers[task] = taker
        task.add_done_callback(self._takers.pop)

    def _run(self, handover: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(handover)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _give(self, channel: Channel, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            await self._stop_taking()
            given = await give(self._proxies, channel)
            if given:
                self.state = "leaving"
            if self.state == "leaving":
                self._leftovers = self._leftovers or Leftovers(self._proxies)
                await self._leftovers.run(channel if given else None)
                self._halt()
        except Exception as error:  # noqa: BLE001 (a fault in a handover must not end what still runs here)
            log.fault("handover.fault", error)
        finally:
            channel.close()
            if self.state == "giving":
                self.state = "serving"

    async def _stop_taking(self) -> None:
        """Stop taking. Raises TimeoutError if an earlier worker has stopped within a bundle."""
        async with asyncio.timeout(STEP_S):
            for task, taker in list(self._takers.items()):
                await taker.until_no_bundle()
                task.cancel()
                await asyncio.wait([task])

    async def _take(self, taker: Taker, answer: Callable[[Message], None]) -> None:
        try:
            summary = await taker.take_all()
            log.write("handover.taken", **summary)
            answer({"result": summary})
            await taker.take_rest()
        except HandoverError as error:
            answer({"error": str(error)})
        except Exception as error:  # noqa: BLE001 (a fault in a handover must not end what already runs here)
            log.fault("handover.fault", error)
            answer({"error": f"a fault in the worker ({type(error).__name__})"})
        finally:
            taker.close()
