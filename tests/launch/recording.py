"""Recording of this launcher's cluster in the registry: phase, programs and processes, kept up to date."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import IO, Any

from tests.cluster.cluster import Cluster
from tests.launch import registry
from tests.launch.memory import Memory
from tests.launch.registry import Phase, Record
from tests.services.leash import RUN
from tests.services.processes import Birth, birth_of, descendants, parents
from tests.services.programs import ProgramError

RENEW_S = 2.0


class Recording:
    """The record of one launcher. A lock per API port, released by the kernel, admits one launcher at a time."""

    def __init__(self, port: int, report: Callable[[str], None], log: str | None) -> None:
        """`log` is the file to which a launcher in the background writes."""
        self.port = port
        self._log = log
        self._report = report
        self.memory = Memory()
        self._lock: IO[str] | None = None
        self._record: Record | None = None
        self._written: Record | None = None
        self._cluster: Cluster | None = None

    def __enter__(self) -> "Recording":
        """Take the lock. Raises ProgramError when another launcher has it, OSError when the folder is not writable."""
        registry.FOLDER.mkdir(exist_ok=True)
        self._lock = (registry.FOLDER / f"up-{self.port}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProgramError(
                f"another ./dev up of this folder starts or stops a cluster at port {self.port}; see ./dev status"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._record:
            registry.forget(self.port)
        if self._lock:
            self._lock.close()

    def begin(self) -> None:
        """Record that a cluster starts, before its details are known. Raises OSError."""
        self._record = first_record(self.port, self._log)
        registry.write(self._record)

    @asynccontextmanager
    async def of(self, cluster: Cluster, memory: Memory) -> AsyncIterator[None]:
        """Record this cluster, now and whenever something changes."""
        self.memory = memory
        self._cluster = cluster
        if self._record:
            folder = cluster.folder
            self._record = replace(self._record, folder=str(folder.path), kept=folder.durable)
        self._renew(cluster)
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._keep_renewing(cluster))
            try:
                yield
            finally:
                renewing.cancel()

    def enter(self, phase: Phase) -> None:
        if self._record and self._cluster:
            self._record = replace(self._record, phase=phase)
            self._renew(self._cluster)

    async def _keep_renewing(self, cluster: Cluster) -> None:
        while True:
            self._renew(cluster)
            await asyncio.sleep(RENEW_S)

    def _renew(self, cluster: Cluster) -> None:
        """Write the record if it has changed; a full disk does not end the cluster."""
        if self._record is None:
            return
        self._record = replace(self._record, state=state_of(cluster), processes=processes_below(self._record))
        if self._record == self._written:
            return
        try:
            registry.write(self._record)
        except OSError as error:
            self._report(f"cannot write the record of this cluster, so ./dev status is out of date: {error}")
        else:
            self._written = self._record


def first_record(port: int, log: str | None) -> Record:
    """Build the record of a cluster of which nothing has started yet."""
    leashed = RUN in os.environ
    launcher = born(os.getpid())
    keeper = born(os.getppid()) if leashed else launcher
    run = os.environ.get(RUN, "")
    return Record(
        port=port,
        phase="starting",
        launcher=launcher,
        keeper=keeper,
        front=parents()[keeper.pid] if leashed else launcher.pid,
        run=run,
        folder=run,
        kept=False,
        log=log,
        state={"api": f"http://127.0.0.1:{port}", "programs": {}},
    )


def born(pid: int) -> Birth:
    birth = birth_of(pid)
    if birth is None:
        raise ProgramError(f"the parent process {pid} of this launcher has ended")
    return birth


def state_of(cluster: Cluster) -> dict[str, Any]:
    return {
        "api": f"http://127.0.0.1:{cluster.api_port}",
        "amqp_url": cluster.vhost.amqp_url,
        "management_url": cluster.vhost.management_url,
        "database_url": cluster.database.url,
        "programs": {name: program_state(cluster, name) for name in cluster.programs},
    }


def program_state(cluster: Cluster, name: str) -> dict[str, Any]:
    """Describe a program; for a node also its data folder and address."""
    program, node = cluster.programs[name], cluster.nodes.get(name)
    state = {"pid": program.pid if program.is_running else None, "log": str(program.log)}
    return state | ({"data": str(node.data), "ip": node.host} if node else {})


def processes_below(record: Record) -> tuple[Birth, ...]:
    """List all processes below the keeper except the launcher. The keeper adopts orphans, so they are included."""
    pids = set(descendants(record.keeper.pid)) - {record.launcher.pid}
    births = (birth_of(pid) for pid in sorted(pids))
    return tuple(birth for birth in births if birth)
