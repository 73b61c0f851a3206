"""The built-in engine: proxies in worker processes that outlive the agent, with nothing to install."""

import asyncio
import os
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from node.engine.builtin.frames import MOST_FDS, WorkerName
from node.engine.builtin.pool.batches import record_fields
from node.engine.builtin.pool.context import PoolContext, RecordFields, WorkerGoneError, close_all, ports_of
from node.engine.builtin.pool.counters import CounterReader
from node.engine.builtin.pool.directory import home_of
from node.engine.builtin.pool.listeners import open_listener
from node.engine.builtin.pool.pool import WorkerPool
from node.engine.builtin.pool.processes import end_process, worker_names, worker_pid
from node.engine.builtin.pool.running import RunningProxies, drop
from node.engine.builtin.pool.spawner import Spawner
from node.engine.builtin.pool.upgrade import Moved
from node.engine.builtin.pool.worker_handle import WorkerHandle
from node.engine.interface import Condition, Counters, EngineError
from shared.destinations import DENY_PORTS
from shared.engine_defaults import HALF_CLOSED_S, VIA
from shared.proxies import ProxyId, ProxyRecord, Version

_HALT_S = 2.0


class BuiltinEngine:
    """Steers the workers of one directory, each proxy in exactly one of them.

    Leaving the context leaves the workers running; opened again on the same directory the engine finds them, and has
    those that run other code relieved. A worker that dies is started again with what it ran. `listen` is a literal
    address, None is every address of the host. `allow_destinations` are networks that proxies may connect to though
    they are private to the node (see guard.py), `deny_ports` are closed to clients of proxies that do not allow them by
    name. `connections_per_source` is what one client address may have open at a
    worker, `unadmitted_connections` how many of a worker's may not have logged in; None is a share of the descriptors
    that the worker may have (see bounds.py). With the last of `failed_logins` a connection is closed. A client that has
    closed its side is closed when nothing has come for it for `half_closed_s`. `via` is the name of the proxies in Via
    fields, empty for none. `on_change` is called when something may run that did not before, or the other way round.
    """

    at_once = 2 * MOST_FDS
    """As one order is obeyed the next is got ready."""

    def __init__(
        self,
        directory: Path,
        *,
        listen: str | None = None,
        workers: int | None = None,
        allow_destinations: Sequence[str] = (),
        deny_ports: Sequence[int | str] = DENY_PORTS,
        connections_per_source: int | None = None,
        unadmitted_connections: int | None = None,
        failed_logins: int | None = None,
        half_closed_s: float = HALF_CLOSED_S,
        via: str = VIA,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory = home_of(directory)
        self._listen = listen
        self._configuration: dict[str, object] = {
            "allow_destinations": list(allow_destinations),
            "deny_ports": list(deny_ports),
            "connections_per_source": connections_per_source,
            "unadmitted_connections": unadmitted_connections,
            "failed_logins": failed_logins,
            "half_closed_s": half_closed_s,
            "via": via,
        }
        self._forks = Spawner(directory)
        place = PoolContext(
            directory,
            self._forks,
            opened=lambda port: open_listener(listen, port),
            changed=on_change,
            configuration=self._configuration,
        )
        self._crew = WorkerPool(place, workers or os.cpu_count() or 1)
        self._census = RunningProxies(self._crew)
        self._tally = CounterReader(self._crew)
        self._group = asyncio.TaskGroup()
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._group.__aenter__()
        try:
            await self._crew.assemble(self._group)
        except BaseException as error:
            # Nobody leaves a context that was not entered: its tasks and its zygote would stay.
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error of the caller's own goes on as it is, not wrapped into a group."""
        self._crew.disband()
        try:
            if kind is asyncio.CancelledError:
                await self._group.__aexit__(kind, error, trace)
            else:
                await self._group.__aexit__(None, None, None)
        finally:
            await self._forks.close()

    async def running(self) -> Mapping[ProxyId, Version]:
        """What accepts connections at this moment. A worker that does not answer serves nobody, so its are left out."""
        async with self._crew.passage:
            return await self._census.running()

    async def start(self, proxy: ProxyRecord) -> None:
        """Raises EngineError."""
        async with self._turn(proxy.id), self._crew.passage:
            worker = await self._home(proxy.id)
            before = worker.ports.setdefault(proxy.id, ())
            told = record_fields(proxy)
            try:
                await self._put(worker, told, before)
            except BaseException:
                if not before:
                    worker.ports.pop(proxy.id, None)
                raise
            worker.ports[proxy.id] = ports_of(told)
            worker.records[proxy.id] = told
            for other in self._leaving():
                with suppress(WorkerGoneError):
                    await other.put(told)

    async def stop(self, proxy_id: ProxyId) -> None:
        """Raises EngineError when its worker does not answer."""
        async with self._turn(proxy_id), self._crew.passage:
            for worker in [each for each in self._crew.workers if each.has(proxy_id)] + self._leaving():
                await drop(worker, proxy_id)

    async def upgrade(self) -> list[Moved]:
        """All proxies and connections to new processes, with the code as it is on disk now, and nothing is lost.

        Raises EngineError for the first worker that fails; it and those after it run on.
        """
        return await self._crew.upgrade()

    async def stats(self) -> Mapping[ProxyId, Mapping[str, int]]:
        """Counters by proxy since it came to its worker: open, accepted, refused, received_bytes, sent_bytes."""
        async with self._crew.passage:
            return await self._tally.stats()

    async def protect(self, addresses: Sequence[str]) -> None:
        """Destinations that are private to this node although their addresses do not show it."""
        await self._configure(protect_destinations=list(addresses))

    async def reached_at(self, addresses: Sequence[str]) -> None:
        """The node's own addresses that its host does not have: those of a router that translates in front of it."""
        await self._configure(node_addresses=list(addresses))

    async def _configure(self, **settings: object) -> None:
        self._configuration.update(settings)
        async with asyncio.TaskGroup() as tasks:
            for worker in self._crew.workers:
                tasks.create_task(worker.configure())

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """The proxies that their limits hold back. A worker that does not answer serves nobody, so its are left out."""
        async with self._crew.passage:
            return await self._tally.conditions()

    async def usage(self) -> Sequence[Counters]:
        """See node.engine.Counting."""
        return await self._tally.usage()

    async def taken(self, counters: Sequence[Counters]) -> None:
        """See node.engine.Counting."""
        await self._tally.taken(counters)

    async def halt(self) -> None:
        """Ends every worker of the directory, this engine's or not; what they ran is closed. No context is needed."""
        await self._crew.disbanded()
        async with asyncio.TaskGroup() as tasks:
            for name in worker_names(self._directory):
                tasks.create_task(_halted(self._directory, name))

    def _turn(self, proxy_id: int) -> asyncio.Lock:
        """One order at a time for each proxy."""
        return self._turns.setdefault(proxy_id, asyncio.Lock())

    def _leaving(self) -> list[WorkerHandle]:
        """Those that end with their last connection; whose it is they do not tell."""
        return [worker for worker in self._crew.workers if worker.state == "leaving"]

    async def _home(self, proxy_id: int) -> WorkerHandle:
        """Where the proxy is, or the least loaded worker. Raises EngineError."""
        for worker in self._crew.workers:
            if worker.has(proxy_id):
                await worker.up()
                return worker
        permanent = [worker for worker in self._crew.workers if worker.permanent]
        if not permanent:
            raise EngineError("the built-in engine is not open")
        worker = min(permanent, key=lambda each: (not each.alive, each.stuck, len(each.ports), each.index))
        await worker.up()
        return worker

    async def _put(self, worker: WorkerHandle, told: RecordFields, before: tuple[int, ...]) -> None:
        """New listeners are open before old ones close; at ports that stay the worker keeps its own."""
        new = [port for port in ports_of(told) if port not in before]
        if (worker.stuck or not new) and await worker.put(told):
            return
        opened: list[Socket] = []
        try:
            for port in new or ports_of(told):
                opened.append(self._opened(port))
            if not await worker.put(told, opened):
                worker.ports.pop(told["id"], None)
                raise EngineError(f"{worker} of the built-in engine does not listen where it did")
        finally:
            close_all(opened)

    def _opened(self, port: int) -> Socket:
        """Raises EngineError; names the proxy that has the port where it is one of these."""
        try:
            return open_listener(self._listen, port)
        except EngineError as error:
            for worker in self._crew.workers:
                for id_, taken in worker.ports.items():
                    if port in taken:
                        raise EngineError(f"port {port} is taken by proxy {id_}") from error
                if worker.stuck:
                    raise EngineError(f"{error}, perhaps by {worker}, which does not answer") from error
            raise


async def _halted(directory: Path, name: WorkerName) -> None:
    pid = worker_pid(directory, *name)
    if pid is not None:
        await end_process(pid, patience=_HALT_S)
    with suppress(OSError):  # on a read-only file system it stays, and nobody answers there
        (directory / name.socket).unlink(missing_ok=True)
