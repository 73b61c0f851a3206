"""One worker as the agent sees it: found or started, connected, watched, and what it runs."""

import asyncio
import resource
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from node.engine import EngineError
from node.engine.builtin.batch import Batch, Entry
from node.engine.builtin.control import MOST_FDS, MOST_PORTS, PROTOCOL, WorkerName, batches
from node.engine.builtin.link import Link, LostError, RefusedError, UnansweredError
from node.engine.builtin.process import bury, connect_worker, end_process, reaped, start_worker

CALL_S = 4.0
START_S = 10.0
_LOOK_S = 0.003
_BURY_S = 1.0
_STEADY_S = 10.0
_PAUSES_S = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0)
"""Before a worker that keeps dying is started again; from the beginning once one has lived for a while."""
_TRUSTED = 2
"""Deaths in a row after which what it ran is not put back at once: some of it may be what kills it."""
_AHEAD = 5000
"""Most listeners that are opened while a new process is on its way, a third of this process's descriptors at most."""
_BREATH = 100

Told = Mapping[str, Any]
"""A record as it crosses the control socket."""
Listeners = list[socket.socket]

_log = structlog.get_logger(__name__)


def ports_of(told: Told) -> tuple[int, ...]:
    """All that it listens on, its own first."""
    return tuple(dict.fromkeys((told["port"], *(each["port"] for each in told.get("also", ())))))


class WorkerGoneError(EngineError):
    """There is no such process, so nothing runs in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the workers of one directory have in common.

    `opened` opens a listener at a port, or raises EngineError. `changed` is called when a worker is back, will not come
    back, or answers again after it did not. `configuration` is told to whatever process is found or started.
    """

    directory: Path
    opened: Callable[[int], socket.socket]
    changed: Callable[[], None]
    configuration: Mapping[str, Any]


class Worker:
    """`ports` is what it listens on, by proxy; () for one that is on its way there. `records` is what it was
    given and shall run again when it has died.

    One that is not `permanent` is not started again: it was left by an engine with more workers, or another process
    takes over.
    """

    def __init__(
        self,
        place: Place,
        name: WorkerName,
    ) -> None:
        self.name = name
        self.permanent = False
        self.pid = 0
        self.build = ""
        self.state = ""
        self.ports: dict[int, tuple[int, ...]] = {}
        self.records: dict[int, Told] = {}
        self.settled = asyncio.Event()
        self.stuck = False
        self._place = place
        self._link: Link | None = None
        self._ended = asyncio.Event()
        self._woken = asyncio.Event()
        self._batch: Batch | None = None

    @property
    def index(self) -> int:
        return self.name.number

    def __str__(self) -> str:
        return f"worker {self.index} (pid {self.pid})"

    @property
    def alive(self) -> bool:
        """Whether it can be given orders, as far as is known."""
        return self._link is not None and self.settled.is_set() and not self._ended.is_set()

    def has(self, proxy_id: int) -> bool:
        """Whether it runs this proxy or will again."""
        return proxy_id in self.ports or proxy_id in self.records

    async def keep(self, *, start: bool = True) -> None:
        """Sees to it that the worker runs, for as long as it is not cancelled; the worker itself lives on then."""
        attempt = 0
        try:
            while True:
                began = time.monotonic()
                await self._run(start=start)
                if not self.permanent:
                    self._give_up()
                    return
                attempt = 0 if time.monotonic() - began > _STEADY_S else min(attempt + 1, len(_PAUSES_S) - 1)
                if attempt > _TRUSTED:
                    self._give_up()
                await asyncio.sleep(_PAUSES_S[attempt])
                start = True
        finally:
            self._disconnect()

    async def call(self, op: str, *, fds: Sequence[int] = (), timeout: float = CALL_S, **fields: Any) -> Any:
        """Raises EngineError, which names the worker; at once while an earlier order is still unanswered."""
        link = self._link
        if link is None:
            raise WorkerGoneError(f"worker {self.index} of the built-in engine is not running")
        if self.stuck:
            raise EngineError(f"{self} of the built-in engine does not answer")
        try:
            return await link.call(op, fds=fds, timeout=timeout, **fields)
        except UnansweredError as error:
            self.stuck = True
            _log.warning("worker.stuck", worker=self.index, pid=self.pid)
            raise EngineError(f"{self} of the built-in engine does not answer") from error
        except LostError as error:
            raise WorkerGoneError(f"{self} of the built-in engine has died") from error
        except RefusedError as error:
            raise EngineError(f"{self} of the built-in engine: {error}") from error

    async def put(self, told: Told, listeners: Sequence[socket.socket] = ()) -> bool:
        """Whether it runs this record now; False: it takes other listeners. Raises EngineError.

        Those that come at about the same time go in one order.
        """
        batch, first = self._batch, False
        if batch is None or batch.closed:
            batch, first = Batch(), True
            self._batch = batch
        place = batch.add(Entry(told, listeners))
        if first:
            await batch.run(self._put)
        answer = await batch.answer(place)
        if isinstance(answer, str):
            raise EngineError(f"{self} of the built-in engine: {answer}")
        return answer

    async def learn(self) -> None:
        """What it runs; what is on its way there meanwhile stays noted."""
        noted = {id_ for id_, ports in self.ports.items() if ports}
        try:
            told = await self.call("list")
        except WorkerGoneError:
            return
        except EngineError as error:
            _log.warning("worker.silent", worker=self.index, pid=self.pid, reason=str(error))
            return
        if told["protocol"] != PROTOCOL:
            _log.warning("worker.of_another_age", worker=self.index, pid=self.pid, protocol=told["protocol"])
        self.build, self.state = told.get("build", ""), told.get("state", "")
        listening = {id_: tuple(ports) for id_, _, ports in told["proxies"]}
        self.ports |= listening
        for id_ in noted - listening.keys():
            self.ports.pop(id_, None)

    async def listening(self) -> dict[int, int]:
        """Versions by proxy of what takes connections at this moment. Raises EngineError."""
        told: list[tuple[int, int, list[int]]] = (await self.call("list"))["proxies"]
        for id_, _, ports in told:
            self.ports.setdefault(id_, tuple(ports))
        return {id_: version for id_, version, _ in told}

    async def restore(self, opened: dict[int, Listeners] | None = None) -> None:
        """Puts back what it should run and does not, and nothing that was stopped meanwhile. Raises EngineError.

        `opened`: listeners by proxy that are open already; all of them are used or closed.
        """
        opened = opened or {}
        missing = [id_ for id_ in self.records if id_ not in self.ports]
        try:
            for ids in batches(missing, MOST_FDS // MOST_PORTS):
                await self._restore(ids, opened)
        finally:
            _close(opened.values())

    async def _restore(self, ids: Sequence[int], opened: dict[int, Listeners]) -> None:
        """The order goes out in the same turn in which it is seen that these shall run."""
        entries: list[Entry] = []
        try:
            for id_ in ids:
                told = self.records.get(id_)
                listeners = opened.pop(id_, None) or (self._reopened(told) if told is not None else None)
                if told is not None and listeners:
                    entries.append(Entry(told, listeners))
            for entry, answer in zip(entries, await self._put(entries), strict=True):
                if answer is True:
                    self.ports[entry.told["id"]] = ports_of(entry.told)
                else:
                    self.records.pop(entry.told["id"], None)
        finally:
            _close(entry.listeners for entry in entries)

    def _reopened(self, told: Told) -> Listeners | None:
        opened: Listeners = []
        try:
            for port in ports_of(told):
                opened.append(self._place.opened(port))
            return opened
        except EngineError as error:
            _close([opened])
            _log.warning("worker.port_lost", worker=self.index, proxy_id=told["id"], reason=str(error))
            self.records.pop(told["id"], None)
            return None

    async def _put(self, entries: Sequence[Entry]) -> list[bool | str]:
        """Raises EngineError."""
        if not entries:
            return []
        fds = [listener.fileno() for entry in entries for listener in entry.listeners]
        proxies = [{"record": entry.told, "listens": len(entry.listeners)} for entry in entries]
        return await self.call("put", proxies=proxies, fds=fds)

    async def _run(self, *, start: bool) -> None:
        """From finding or starting it to its end."""
        try:
            opened = await self._connect(start=start)
        except (OSError, TimeoutError) as error:
            _log.error("worker.start_failed", worker=self.index, reason=str(error) or "it took too long")
            self._give_up()
            self.settled.set()
            self._place.changed()
            return
        await self.configure()
        await self.learn()
        with suppress(EngineError):
            await self.restore(opened)
        self.settled.set()
        self._place.changed()
        with suppress(EngineError):
            await self._recall()
        await self._watch()
        self._disconnect()
        await bury(self.pid, patience=_BURY_S)
        if self.state == "leaving":
            _log.info("worker.ended", worker=self.index, pid=self.pid)
        else:
            _log.warning("worker.died", worker=self.index, pid=self.pid)

    async def _connect(self, *, start: bool) -> dict[int, Listeners]:
        """Listeners opened meanwhile, at which clients who come in between wait. Raises OSError, TimeoutError."""
        started, opened = 0, dict[int, Listeners]()
        try:
            async with asyncio.timeout(START_S):
                while (connection := connect_worker(self._place.directory, *self.name)) is None:
                    if not start:
                        raise OSError("it is gone")
                    if not started:
                        started = start_worker(self._place.directory, self.name)
                        opened = await self._open_ahead()
                    elif reaped(started):
                        raise OSError("it ended at once; its log tells why")
                    await asyncio.sleep(_LOOK_S)
        except BaseException as error:
            _close(opened.values())
            if started and isinstance(error, TimeoutError):
                await end_process(started, patience=_LOOK_S)
            raise
        self._ended.clear()
        self.stuck = False
        self._link = Link(connection, heard=self._heard, lost=self._lost)
        self.pid = self._link.pid
        _log.info("worker.started" if started else "worker.adopted", worker=self.index, pid=self.pid)
        return opened

    async def _open_ahead(self) -> dict[int, Listeners]:
        opened: dict[int, Listeners] = {}
        room = min(_AHEAD, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
        for several in batches(list(self.records.values())[:room], _BREATH):
            for told in several:
                if told["id"] in self.records and (listeners := self._reopened(told)) is not None:
                    opened[told["id"]] = listeners
            await asyncio.sleep(0)
        return opened

    async def _recall(self) -> None:
        """Asks a worker that was found for the records it runs, so that they can be put back. Raises EngineError."""
        unknown = [id_ for id_, ports in self.ports.items() if ports and id_ not in self.records]
        for ids in batches(unknown, MOST_FDS):
            for told in await self.call("records", ids=ids):
                if self.ports.get(told["id"]):
                    self.records.setdefault(told["id"], told)

    async def configure(self) -> None:
        """Tells it its configuration as it is now; a process that is not there yet is told when it is."""
        try:
            await self.call("configure", **self._place.configuration)
        except EngineError as error:
            _log.warning("worker.not_configured", worker=self.index, pid=self.pid, reason=str(error))

    async def _watch(self) -> None:
        """Until it has died; learns anew what it runs when it answers after it did not."""
        while not self._ended.is_set():
            await self._woken.wait()
            self._woken.clear()
            if not self._ended.is_set():
                await self.configure()
                await self.learn()
                await self._leave_if_idle()
                self._place.changed()

    async def _leave_if_idle(self) -> None:
        """One that shall not be kept and has nothing to do ends."""
        if not (self.permanent or self.stuck or self.ports) and self.state == "serving":
            with suppress(EngineError):
                await self.call("halt")

    def _heard(self) -> None:
        if self.stuck:
            self.stuck = False
            self._woken.set()

    def _lost(self) -> None:
        self.settled.clear()
        self._ended.set()
        self._woken.set()

    def _give_up(self) -> None:
        """What it ran may be started elsewhere."""
        if self.records:
            self.records = {}
            self._place.changed()

    def _disconnect(self) -> None:
        self.ports = {}
        self.settled.clear()
        if self._link is not None:
            self._link.close()
            self._link = None


def _close(opened: Iterable[Sequence[socket.socket]]) -> None:
    for listeners in opened:
        for listener in listeners:
            listener.close()
