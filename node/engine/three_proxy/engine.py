"""The engine that runs proxies by 3proxy, one process a proxy."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

from node.engine.interface import Counters, EngineError
from node.engine.three_proxy.binary import find_binary, refuse_uncounted, version
from node.engine.three_proxy.configuration import configuration, exit_address, logins
from node.engine.three_proxy.destinations import guard
from node.engine.three_proxy.ledger import LogLedger
from node.engine.three_proxy.listening import has_listener, listener, refuse_foreign, refuse_unusable
from node.engine.three_proxy.process import (
    Process,
    all_pids,
    boot_id,
    is_same_process,
    is_stray,
    open_pidfd,
    spawn,
    start_time,
)
from node.engine.three_proxy.readiness import until_accepting
from node.engine.three_proxy.state import ProcessState, StateFolder, remove, write_private
from shared.destinations import DENY_PORTS
from shared.proxies import ProxyId, ProxyRecord, Version

__all__ = ["ThreeProxyEngine", "find_binary", "version"]


@dataclass(frozen=True)
class Served:
    """A proxy and the process behind it."""

    state: ProcessState
    process: Process

    @property
    def accepts(self) -> bool:
        return has_listener(self.state.pid, self.state.listener_fd, self.state.listener)


class ThreeProxyEngine:
    """Leaving the context leaves the proxies running; one engine at a time may have a directory.

    `listen` None is every address, IPv6 and IPv4. `nservers` are asked for names in place of the system's resolver: a
    statically linked 3proxy has none, and needs them. No client reaches the networks of `closed`, but for those of
    `allow_destinations`. `on_change` is called in the loop when a process ended unasked.
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
        with suppress(OSError):  # a full disk: each start tries again, and tells why it fails
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
        """As `Engine.start`. A record that changes nothing for 3proxy keeps the process; any other replaces it, which
        closes this proxy's connections. On the same port both listen for a moment (SO_REUSEPORT)."""
        text = configuration(
            proxy, listen=self._listen, nservers=self._nservers, guard=self._guard, deny_ports=self._deny_ports
        )
        id_ = ProxyId(proxy.id)
        async with self._alone(id_):
            before = self._served.get(id_)
            accepts = before is not None and before.accepts
            if before and accepts and before.state.digest == digest(text):
                self._keep(before, Version(proxy.version))
                return
            if not (before and accepts and before.state.port == proxy.port):
                refuse_unusable(self._listen, proxy.port)
            await self._refuse_unheld(proxy, before)
            with as_engine_error():
                self._served[id_] = await self._launch(proxy, text)
            if before:
                await self._end(before)

    async def stop(self, proxy_id: ProxyId) -> None:
        async with self._alone(proxy_id):
            if served := self._served.get(proxy_id):
                await self._end(served)

    def reached_at(self, addresses: Sequence[str]) -> None:
        """The node's own addresses that its host does not have; for proxies that are started from now on."""
        self._guard = guard([*self._closed, *addresses], self._opened)

    async def usage(self) -> Sequence[Counters]:
        """As `Counting.usage`; an epoch is a process's life. Raises OSError."""
        return await self._ledger.usage()

    async def taken(self, counters: Sequence[Counters]) -> None:
        self._ledger.taken(counters)

    async def halt(self) -> None:
        """Ends every process of this engine."""
        async with asyncio.TaskGroup() as tasks:
            for id_ in list(self._served):
                tasks.create_task(self.stop(id_))

    @asynccontextmanager
    async def _alone(self, id_: ProxyId) -> AsyncGenerator[None, None]:
        """One change at a time to one proxy; others are not held up."""
        lock = self._locks.setdefault(id_, asyncio.Lock())
        async with lock:
            yield

    async def _refuse_unheld(self, proxy: ProxyRecord, before: Served | None) -> None:
        """Raises EngineError for what only this host's 3proxy cannot do.

        An exit address that was lost while the proxy ran holds no other change of the proxy up.
        """
        address = exit_address(proxy.exit)
        if address and not (before and before.state.exit_address == str(address)):
            refuse_foreign(address)
        if proxy.limits.connections is not None:
            with as_engine_error():
                refuse_uncounted(await version(self._binary))

    def _adopt(self) -> None:
        """Takes over what runs. A process is the one written down only if boot, number, start time and file agree."""
        this_boot = boot_id()
        for state in self._folder.states():
            meant = partial(is_same_process, state.started, self._folder.configuration(state.stem))
            pidfd = open_pidfd(state.pid, meant) if state.boot == this_boot else None
            if pidfd is not None:
                process = self._watched(state.id, state.stem, state.pid, pidfd)
                self._served[state.id] = Served(state, process)

    async def _end_strays(self) -> None:
        """Ends what an agent that was killed had begun and not written down, and what it had replaced."""
        kept = {served.state.pid for served in self._served.values()}
        for pid in set(all_pids()) - kept:
            pidfd = open_pidfd(pid, partial(is_stray, self._folder.path))
            if pidfd is not None:
                process = Process(pid, pidfd, self._processes.discard)
                self._processes.add(process)
                process.end()
                await process.gone()

    async def _launch(self, proxy: ProxyRecord, text: str) -> Served:
        """A process that accepts connections and is written down; none at all if it fails. Raises EngineError,
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


def state_of(proxy: ProxyRecord, stem: str, text: str, pid: int) -> ProcessState:
    """What is to be written down of a process that accepts connections. Raises OSError, LookupError."""
    descriptor, name = listener(pid, proxy.port)
    return ProcessState(
        id=ProxyId(proxy.id),
        version=Version(proxy.version),
        port=proxy.port,
        digest=digest(text),
        stem=stem,
        boot=boot_id(),
        pid=pid,
        started=start_time(pid),
        listener_fd=descriptor,
        listener=name,
        exit_address=str(exit_address(proxy.exit) or ""),
    )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def as_engine_error() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise EngineError(f"3proxy cannot be run: {error.strerror} ({error.filename})") from error
    except LookupError as error:
        raise EngineError("3proxy ended as soon as it had started") from error
