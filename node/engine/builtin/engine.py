"""The built-in engine: proxies in worker processes that outlive the agent, with nothing to install."""

import asyncio
import os
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from node.engine.builtin.frames import MAX_FDS, WorkerName
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
from shared.engine.defaults import HALF_CLOSED_S, VIA
from shared.proxies import ProxyId, ProxyRecord, Version

_HALT_S = 2.0


class BuiltinEngine:
    """Runs proxies in the workers of one directory, each proxy in exactly one of them.

    Leaving the context leaves the workers running. An engine opened again on the same directory finds them, and
    replaces workers that run other code. A worker that dies is started again with the proxies that it ran.

    `listen` is a literal address, None for all addresses of the host. Proxies may connect to the networks of
    `allow_destinations` although they are private to the node (see policy/destination_guard.py); `deny_ports` are
    closed to clients of proxies that do not allow them explicitly.

    `connections_per_source` limits the connections of one client address at a worker, `unadmitted_connections` those of
    a worker whose clients have not logged in; None derives them from the worker's file descriptors (see
    policy/descriptor_shares.py). A connection is closed with the last of `failed_logins`. A client that has closed its
    side is closed after `half_closed_s` without data for it. `via` is the name of the proxies in Via fields, empty for
    none. `on_change` is called when a proxy may have started or stopped running.
    """

    at_once = MAX_FDS
    """Enough for two batches: while one is applied, the next is prepared. More only takes memory."""

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
        self.certify: Callable[[], Awaitable[None]] | None = None
        """Awaited before the first proxy starts that needs a certificate; raises EngineError."""
        self._spawner = Spawner(directory)
        context = PoolContext(
            directory,
            self._spawner,
            open_listener=lambda port: open_listener(listen, port),
            changed=on_change,
            configuration=self._configuration,
        )
        self._pool = WorkerPool(context, workers or os.cpu_count() or 1)
        self._running, self._counters = RunningProxies(self._pool), CounterReader(self._pool)
        self._group = asyncio.TaskGroup()
        self._proxy_locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._group.__aenter__()
        try:
            await self._pool.open(self._group)
        except BaseException as error:
            # A context that was not entered is not left either: its tasks and its zygote would stay.
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine; an error of the caller is passed on as it is, not wrapped in a group."""
        self._pool.close()
        try:
            if kind is asyncio.CancelledError:
                await self._group.__aexit__(kind, error, trace)
            else:
                await self._group.__aexit__(None, None, None)
        finally:
            await self._spawner.close()

    async def running(self) -> Mapping[ProxyId, Version]:
        """The proxies that accept connections at this moment, without those of workers that do not answer."""
        async with self._pool.lock:
            return await self._running.running()

    async def start(self, proxy: ProxyRecord) -> None:
        """Raises EngineError."""
        if proxy.tls and self.certify is not None and "certificate" not in self._configuration:
            await self.certify()
        async with self._proxy_lock(proxy.id), self._pool.lock:
            worker = await self._worker_for(proxy.id)
            before = worker.ports.setdefault(proxy.id, ())
            fields = record_fields(proxy)
            try:
                await self._put(worker, fields, before)
            except BaseException:
                if not before:
                    worker.ports.pop(proxy.id, None)
                raise
            worker.ports[proxy.id] = ports_of(fields)
            worker.records[proxy.id] = fields
            for other in self._leaving():
                with suppress(WorkerGoneError):
                    await other.put(fields)

    async def stop(self, proxy_id: ProxyId) -> None:
        """See Engine. Raises EngineError if the proxy's worker does not answer."""
        async with self._proxy_lock(proxy_id), self._pool.lock:
            for worker in [each for each in self._pool.workers if each.has(proxy_id)] + self._leaving():
                await drop(worker, proxy_id)

    async def upgrade(self) -> list[Moved]:
        """Move all proxies and connections to new processes that run the code on disk; nothing is lost.

        Raises EngineError for the first worker that fails; it and those after it continue.
        """
        return await self._pool.upgrade()

    async def stats(self) -> Mapping[ProxyId, Mapping[str, int]]:
        """Counters of each proxy since it came to its worker: open, accepted, refused, received_bytes, sent_bytes."""
        async with self._pool.lock:
            return await self._counters.stats()

    async def protect(self, addresses: Sequence[str]) -> None:
        """Set destinations that are private to this node although their addresses do not show it."""
        await self._configure(protect_destinations=list(addresses))

    async def reached_at(self, addresses: Sequence[str]) -> None:
        """Set the node's own addresses that its host does not have: those of a translating router in front of it."""
        await self._configure(node_addresses=list(addresses))

    async def use_certificate(self, pem: str) -> None:
        """Use this certificate, in PEM with its chain and its key, for TLS of new connections."""
        await self._configure(certificate=pem)

    async def _configure(self, **settings: object) -> None:
        self._configuration.update(settings)
        async with asyncio.TaskGroup() as tasks:
            for worker in self._pool.workers:
                tasks.create_task(worker.configure())

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """The proxies that their limits suspend, without those of workers that do not answer."""
        async with self._pool.lock:
            return await self._counters.conditions()

    async def connections(self) -> Mapping[ProxyId, int]:
        """See node.engine.interface.Gauging."""
        return await self._counters.connections()

    async def usage(self) -> Sequence[Counters]:
        """See node.engine.interface.Counting."""
        return await self._counters.usage()

    async def taken(self, counters: Sequence[Counters]) -> None:
        """See node.engine.interface.Counting."""
        await self._counters.taken(counters)

    async def halt(self) -> None:
        """End all workers of the directory, also of other engines, and close what they ran. Needs no context."""
        await self._pool.wait_closed()
        async with asyncio.TaskGroup() as tasks:
            for name in worker_names(self._directory):
                tasks.create_task(_halt(self._directory, name))

    def _proxy_lock(self, proxy_id: int) -> asyncio.Lock:
        """The lock that serializes changes of one proxy."""
        return self._proxy_locks.setdefault(proxy_id, asyncio.Lock())

    def _leaving(self) -> list[WorkerHandle]:
        """Workers that end with their last connection; they do not report which proxies those belong to."""
        return [worker for worker in self._pool.workers if worker.state == "leaving"]

    async def _worker_for(self, proxy_id: int) -> WorkerHandle:
        """The worker that runs the proxy, or the least loaded one. Raises EngineError."""
        for worker in self._pool.workers:
            if worker.has(proxy_id):
                await worker.until_settled()
                return worker
        permanent = [worker for worker in self._pool.workers if worker.permanent]
        if not permanent:
            raise EngineError("the built-in engine is not open")
        worker = min(permanent, key=lambda each: (not each.alive, each.stuck, len(each.ports), each.index))
        await worker.until_settled()
        return worker

    async def _put(self, worker: WorkerHandle, fields: RecordFields, before: tuple[int, ...]) -> None:
        """Apply a record. New listeners are opened before old ones are closed; those of unchanged ports stay."""
        new = [port for port in ports_of(fields) if port not in before]
        if (worker.stuck or not new) and await worker.put(fields):
            return
        opened: list[Socket] = []
        try:
            for port in new or ports_of(fields):
                opened.append(self._open_port(port))
            if not await worker.put(fields, opened):
                worker.ports.pop(fields["id"], None)
                raise EngineError(f"{worker} of the built-in engine does not listen where it did")
        finally:
            close_all(opened)

    def _open_port(self, port: int) -> Socket:
        """Open a listener. Raises EngineError, which names the proxy that uses the port if it is one of these."""
        try:
            return open_listener(self._listen, port)
        except EngineError as error:
            for worker in self._pool.workers:
                for id_, taken in worker.ports.items():
                    if port in taken:
                        raise EngineError(f"port {port} is taken by proxy {id_}") from error
                if worker.stuck:
                    raise EngineError(f"{error}, perhaps by {worker}, which does not answer") from error
            raise


async def _halt(directory: Path, name: WorkerName) -> None:
    pid = worker_pid(directory, *name)
    if pid is not None:
        await end_process(pid, patience=_HALT_S)
    with suppress(OSError):  # on a read-only file system the socket stays, but no process listens on it
        (directory / name.socket).unlink(missing_ok=True)
