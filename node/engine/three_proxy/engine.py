"""The engine that runs proxies with 3proxy, one process for each proxy."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

from node.engine.interface import Condition, Counters, EngineError
from node.engine.three_proxy.binary import find_binary, refuse_uncounted, version
from node.engine.three_proxy.configuration import configuration, exit_address, logins
from node.engine.three_proxy.destinations import guard
from node.engine.three_proxy.ledger import LogLedger
from node.engine.three_proxy.listening import refuse_foreign, refuse_unusable
from node.engine.three_proxy.process import (
    Process,
    all_pids,
    boot_id,
    is_same_process,
    is_stopped,
    is_stray,
    open_pidfd,
    spawn,
)
from node.engine.three_proxy.readiness import until_accepting
from node.engine.three_proxy.served import Served, digest, state_of, stopped
from node.engine.three_proxy.state import StateFolder, remove, write_private
from shared.destinations import DENY_PORTS
from shared.proxies import ProxyId, ProxyRecord, Version

__all__ = ["ThreeProxyEngine", "find_binary", "version"]


class ThreeProxyEngine:
    """Runs 3proxy processes. Leaving the context leaves them running; only one engine at a time may use a directory.

    `listen` is an address, None for all, IPv6 and IPv4. `nservers` resolve names instead of the system's resolver: a
    statically linked 3proxy has none, and needs them. Clients cannot reach the networks of `closed`, except for those
    of `allow_destinations`. `on_change` is called in the event loop when a process has ended unexpectedly.
    """

    at_once = 16

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path,
        listen: str | None = None,
        nservers: Sequence[str] = (),
        closed: Sequence[str] = (),
        allow_destinations: Sequence[str] = (),
        deny_ports: Sequence[int | str] = DENY_PORTS,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = StateFolder(directory.absolute())
        self._ledger = LogLedger(self._folder)
        self._binary = binary
        self._listen = listen or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")
        self._nservers = tuple(nservers)
        self._closed, self._opened = tuple(closed), tuple(allow_destinations)
        self._guard = guard(closed, allow_destinations)
        self._deny_ports = tuple(deny_ports)
        self._on_change = on_change
        self._served: dict[ProxyId, Served] = {}
        self._processes: set[Process] = set()
        self._locks: WeakValueDictionary[ProxyId, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        with suppress(OSError):  # a full disk: each start tries again, and reports why it fails
            self._folder.make()
        self._adopt()
        await self._end_strays()
        stems = {id_: served.state.stem for id_, served in self._served.items()}
        self._folder.keep_only(stems)
        self._ledger.open(stems.values())
        await self._ledger.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            process.release()
        self._processes.clear()
        self._served.clear()

    async def running(self) -> Mapping[ProxyId, Version]:
        return {id_: served.state.version for id_, served in self._served.items() if served.accepts}

    async def start(self, proxy: ProxyRecord) -> None:
        """See Engine. A record that changes nothing for 3proxy keeps the process; any other replaces it, which closes
        the proxy's connections. On the same port both listen for a moment (SO_REUSEPORT)."""
        text = configuration(
            proxy, listen=self._listen, nservers=self._nservers, guard=self._guard, deny_ports=self._deny_ports
        )
        id_ = ProxyId(proxy.id)
        async with self._lock(id_):
            before = self._served.get(id_)
            accepts = before is not None and before.accepts
            if before and accepts and before.state.digest == digest(text):
                self._keep(before, Version(proxy.version))
                return
            if not (before and accepts and before.state.port == proxy.port):
                refuse_unusable(self._listen, proxy.port)
            await self._refuse_unsupported(proxy, before)
            with as_engine_error():
                self._served[id_] = await self._launch(proxy, text)
            if before:
                await self._end(before)

    async def stop(self, proxy_id: ProxyId) -> None:
        async with self._lock(proxy_id):
            if served := self._served.get(proxy_id):
                await self._end(served)

    def reached_at(self, addresses: Sequence[str]) -> None:
        """Set the node's own addresses that its host does not have; applies to proxies that are started later."""
        self._guard = guard([*self._closed, *addresses], self._opened)

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        """The proxies whose process was stopped by a signal: their ports are open, but nobody accepts there."""
        pids = {id_: served.state.pid for id_, served in self._served.items()}
        return {id_: stopped(pid) for id_, pid in pids.items() if is_stopped(pid)}

    async def usage(self) -> Sequence[Counters]:
        """See Counting; an epoch is the life of a process. Raises OSError."""
        return await self._ledger.usage()

    async def taken(self, counters: Sequence[Counters]) -> None:
        self._ledger.taken(counters)

    async def halt(self) -> None:
        """End all processes of this engine."""
        async with asyncio.TaskGroup() as tasks:
            for id_ in list(self._served):
                tasks.create_task(self.stop(id_))

    @asynccontextmanager
    async def _lock(self, id_: ProxyId) -> AsyncGenerator[None, None]:
        """Serialize changes of one proxy."""
        lock = self._locks.setdefault(id_, asyncio.Lock())
        async with lock:
            yield

    async def _refuse_unsupported(self, proxy: ProxyRecord, before: Served | None) -> None:
        """Raise EngineError for what the 3proxy of this host cannot do.

        An exit address that was lost while the proxy ran does not prevent other changes of the proxy.
        """
        address = exit_address(proxy.exit)
        if address and not (before and before.state.exit_address == str(address)):
            refuse_foreign(address)
        if proxy.limits.connections is not None:
            with as_engine_error():
                refuse_uncounted(await version(self._binary))

    def _adopt(self) -> None:
        """Take over running processes. A process is recognized only if boot, pid, start time and file agree with the
        state on disk."""
        this_boot = boot_id()
        for state in self._folder.states():
            is_same = partial(is_same_process, state.started, self._folder.configuration(state.stem))
            pidfd = open_pidfd(state.pid, is_same) if state.boot == this_boot else None
            if pidfd is not None:
                process = self._watched(state.id, state.stem, state.pid, pidfd)
                self._served[state.id] = Served(state, process)

    async def _end_strays(self) -> None:
        """End processes that a killed agent had started and not recorded, and processes that it had replaced."""
        kept = {served.state.pid for served in self._served.values()}
        for pid in set(all_pids()) - kept:
            pidfd = open_pidfd(pid, partial(is_stray, self._folder.path))
            if pidfd is not None:
                process = Process(pid, pidfd, self._processes.discard)
                self._processes.add(process)
                process.end()
                await process.gone()

    async def _launch(self, proxy: ProxyRecord, text: str) -> Served:
        """Start a process that accepts connections, and record it; nothing is left if that fails. Raises EngineError,
        OSError, LookupError."""
        id_ = ProxyId(proxy.id)
        stem = self._folder.new_stem(id_)
        cfg, log = self._folder.configuration(stem), self._folder.log(stem)
        process = None
        try:
            self._folder.make()
            write_private(cfg, text)
            pid, pidfd = spawn(self._binary, cfg, log)
            process = self._watched(id_, stem, pid, pidfd)
            await until_accepting(process, log, port=proxy.port, passwords=[password for _, password in logins(proxy)])
            state = state_of(proxy, stem, text, pid)
            self._folder.remember(state)
        except BaseException:
            if process:
                process.end()
            self._folder.discard(stem)
            remove(log)
            raise
        self._ledger.begin(stem)
        return Served(state, process)

    def _watched(self, id_: ProxyId, stem: str, pid: int, pidfd: int) -> Process:
        process = Process(pid, pidfd, partial(self._exited, id_, stem))
        self._processes.add(process)
        return process

    def _exited(self, id_: ProxyId, stem: str, process: Process) -> None:
        self._processes.discard(process)
        self._ledger.end(stem)
        served = self._served.get(id_)
        if served and served.process is process:
            del self._served[id_]
            self._folder.forget(id_)
            self._folder.discard(stem)
            if not process.ended:
                self._on_change()

    def _keep(self, served: Served, version: Version) -> None:
        if served.state.version == version:
            return
        state = served.state.model_copy(update={"version": version})
        with as_engine_error():
            self._folder.remember(state)
        self._served[state.id] = Served(state, served.process)

    async def _end(self, served: Served) -> None:
        served.process.end()
        await served.process.gone()
        self._folder.discard(served.state.stem)
        await self._ledger.settle()


@contextmanager
def as_engine_error() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise EngineError(f"3proxy cannot be run: {error.strerror} ({error.filename})") from error
    except LookupError as error:
        raise EngineError("3proxy ended right after its start") from error
