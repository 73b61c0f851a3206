"""The built-in engine: proxies in worker processes that outlive the agent, with nothing to install."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from node.engine import Condition, Counters, EngineError
from node.engine.builtin.control import socket_name
from node.engine.builtin.counted import Counted, highest
from node.engine.builtin.listeners import open_listener
from node.engine.builtin.process import end_process, worker_numbers, worker_pid
from node.engine.builtin.records import FIELDS
from node.engine.builtin.workers import START_S, Worker, WorkerGoneError
from shared.proxies import ProxyId, ProxyRecord, Version

_HALT_S = 2.0


class BuiltinEngine:
    """Steers the workers of one directory, each proxy in exactly one of them.

    Leaving the context leaves the workers running; opened again on the same directory the engine finds them. `listen`
    is a literal address, None is every address of the host. `allow_destinations` are networks that proxies may connect
    to though they are private to the node (see guard.py). `on_change` is called when a worker died or is back.
    """

    def __init__(
        self,
        directory: Path,
        *,
        listen: str | None = None,
        workers: int | None = None,
        allow_destinations: Sequence[str] = (),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._listen = listen
        self._count = workers or os.cpu_count() or 1
        self._on_change = on_change
        self._configuration = {"allow_destinations": list(allow_destinations)}
        self._workers: list[Worker] = []
        self._counted: list[Counted] = []
        self._group = asyncio.TaskGroup()
        self._keepers: list[asyncio.Task[None]] = []
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = {*range(self._count), *worker_numbers(self._directory)}
        self._workers = [
            Worker(
                self._directory,
                number,
                self._on_change,
                permanent=number < self._count,
                configuration=self._configuration,
            )
            for number in sorted(numbers)
        ]
        self._counted = [Counted(worker) for worker in self._workers]
        await self._group.__aenter__()
        self._keepers = [self._group.create_task(worker.keep()) for worker in self._workers]
        for worker in self._workers:
            await worker.settled.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error of the caller's own goes on as it is, not wrapped into a group."""
        for keeper in self._keepers:
            keeper.cancel()
        if kind is asyncio.CancelledError:
            await self._group.__aexit__(kind, error, trace)
        else:
            await self._group.__aexit__(None, None, None)

    async def running(self) -> Mapping[ProxyId, Version]:
        """What accepts connections at this moment. A worker that does not answer serves nobody, so its are left out."""
        async with asyncio.TaskGroup() as tasks:
            answers = [(worker, tasks.create_task(_told(worker))) for worker in self._workers]
        found: dict[int, tuple[int, Worker]] = {}
        for worker, answer in answers:
            for id_, version in answer.result().items():
                if id_ in found:
                    await self._part(id_, found[id_], (version, worker))
                found[id_] = max(found.get(id_, (0, worker)), (version, worker), key=lambda each: each[0])
        return {ProxyId(id_): Version(version) for id_, (version, _) in found.items()}

    async def start(self, proxy: ProxyRecord) -> None:
        """Raises EngineError."""
        async with self._turn(proxy.id):
            worker = await self._home(proxy.id)
            port_before = worker.ports.setdefault(proxy.id, 0)
            try:
                await self._put(worker, proxy, port_before)
            except BaseException:
                if not port_before:
                    worker.ports.pop(proxy.id, None)
                raise
            worker.ports[proxy.id] = proxy.port

    async def stop(self, proxy_id: ProxyId) -> None:
        """Raises EngineError when its worker does not answer."""
        async with self._turn(proxy_id):
            for worker in self._workers:
                if proxy_id in worker.ports:
                    await _remove(worker, proxy_id)

    async def stats(self) -> Mapping[ProxyId, Mapping[str, int]]:
        """Counters by proxy since it came to its worker: open, accepted, refused, received_bytes, sent_bytes."""
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(_counted(worker)) for worker in self._workers]
        return {ProxyId(counters["id"]): counters for answer in answers for counters in answer.result()}

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """The proxies that their limits hold back. A worker that does not answer serves nobody, so its are left out."""
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(_held(worker)) for worker in self._workers]
        return {
            ProxyId(id_): Condition("expired" if word == "expired" else "limited", reason)
            for answer in answers
            for id_, word, reason in answer.result()
        }

    async def usage(self) -> Sequence[Counters]:
        """See node.engine.Counting."""
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(counted.read()) for counted in self._counted]
        return highest([counters for answer in answers for counters in answer.result()])

    async def taken(self, counters: Sequence[Counters]) -> None:
        """See node.engine.Counting."""
        for counted in self._counted:
            # A worker that does not answer tells them again.
            with suppress(EngineError):
                await counted.taken(counters)

    async def halt(self) -> None:
        """Ends every worker of the directory, this engine's or not; what they ran is closed. No context is needed."""
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        async with asyncio.TaskGroup() as tasks:
            for number in worker_numbers(self._directory):
                tasks.create_task(_halted(self._directory, number))

    def _turn(self, proxy_id: int) -> asyncio.Lock:
        """One order at a time for each proxy."""
        return self._turns.setdefault(proxy_id, asyncio.Lock())

    async def _home(self, proxy_id: int) -> Worker:
        """Where the proxy is, or the least loaded worker. Raises EngineError."""
        for worker in self._workers:
            if proxy_id in worker.ports:
                return worker
        permanent = [worker for worker in self._workers if worker.permanent]
        if not permanent:
            raise EngineError("the built-in engine is not open")
        worker = min(permanent, key=lambda each: (not each.alive, each.stuck, len(each.ports), each.index))
        await _started(worker)
        return worker

    async def _put(self, worker: Worker, proxy: ProxyRecord, port_before: int) -> None:
        """A new listener is open before the old one closes; on the same port the worker keeps its own."""
        told = proxy.model_dump(mode="json", include=set(FIELDS))
        if port_before == proxy.port and await worker.call("put", record=told):
            return
        if worker.stuck:
            await worker.call("put", record=told)
        with self._opened(proxy.port) as listener:
            await worker.call("put", record=told, fds=[listener.fileno()])

    def _opened(self, port: int) -> socket.socket:
        """Raises EngineError; names the proxy that has the port where it is one of these."""
        try:
            return open_listener(self._listen, port)
        except EngineError as error:
            for worker in self._workers:
                for id_, taken in worker.ports.items():
                    if taken == port:
                        raise EngineError(f"port {port} is taken by proxy {id_}") from error
                if worker.stuck:
                    raise EngineError(f"{error}, perhaps by {worker.name}, which does not answer") from error
            raise

    async def _part(self, proxy_id: int, one: tuple[int, Worker], other: tuple[int, Worker]) -> None:
        """A worker that was stuck may come back with what was started elsewhere meanwhile: the newer one stays."""
        # A worker that does not answer this is asked again the next time.
        with suppress(EngineError):
            await _remove(min(one, other, key=lambda each: each[0])[1], proxy_id)


async def _started(worker: Worker) -> None:
    """Raises EngineError."""
    try:
        async with asyncio.timeout(START_S):
            await worker.settled.wait()
    except TimeoutError as error:
        raise EngineError(f"worker {worker.index} of the built-in engine does not start") from error


async def _told(worker: Worker) -> dict[int, int]:
    try:
        return await worker.listening()
    except EngineError:
        return {}


async def _counted(worker: Worker) -> list[dict[str, int]]:
    try:
        return (await worker.call("stats"))["proxies"]
    except EngineError:
        return []


async def _held(worker: Worker) -> list[tuple[int, str, str]]:
    try:
        return await worker.call("conditions")
    except EngineError:
        return []


async def _remove(worker: Worker, proxy_id: int) -> None:
    """Raises EngineError when the worker lives but does not answer."""
    with suppress(WorkerGoneError):
        await worker.call("remove", proxy_id=proxy_id)
    worker.ports.pop(proxy_id, None)


async def _halted(directory: Path, number: int) -> None:
    pid = worker_pid(directory, number)
    if pid is not None:
        await end_process(pid, patience=_HALT_S)
    (directory / socket_name(number)).unlink(missing_ok=True)
