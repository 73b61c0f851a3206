"""Launcher of `./dev up`: starts a whole cluster on this machine, tries it out with curl, and runs until a signal."""

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from tests.cluster.cluster import Cluster
from tests.launch.__main__ import UpOptions, obstacle_to, read
from tests.launch.authorization import DatabaseToken
from tests.launch.demo.demo import MASTER_SETTINGS, demo_fleet
from tests.launch.failures import keep_logs, print_failure
from tests.launch.keep_running import keep_running
from tests.launch.memory import Memory, opened
from tests.launch.patience import patience
from tests.launch.recording import Recording
from tests.launch.registry import log_of
from tests.launch.returning import DEFAULT_NODES, bring_back, join_all, launch_new
from tests.launch.screen import screen
from tests.launch.spare_node import serve_requests
from tests.launch.trial import ensure_location, try_again, try_out
from tests.services.folders import ensure_room, remove, scratch
from tests.services.ports import (
    AMQP,
    AMQPS,
    DISTRIBUTION,
    MANAGEMENT,
    MANAGEMENT_TLS,
    PORT_MAPPER,
    POSTGRES,
    claim_block,
    reclaimed,
)
from tests.services.postgres import Database, PostgreSQL
from tests.services.programs import Elsewhere
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Source, Where, find_source

Report = Callable[[str], None]
STOPPED_EARLY = 130
SERVICES = (POSTGRES, AMQP, MANAGEMENT, DISTRIBUTION, PORT_MAPPER, AMQPS, MANAGEMENT_TLS)


def main() -> int:
    """Run the launcher. Exit codes: 0 done, or stopped by a signal once all was up; 1 failed; 130 stopped before."""
    options, report = read(sys.argv[1:]), progress()
    try:
        log = str(log_of(options.port)) if options.detach else None
        with Recording(options.port, report, log) as recording:
            obstacle = obstacle_to(options)
            if obstacle:
                print(obstacle, file=sys.stderr)
                return 1
            recording.begin()
            return asyncio.run(run(options, find_source(report), recording, report))
    except KeyboardInterrupt:
        return STOPPED_EARLY
    except Exception as error:  # noqa: BLE001 (any error is explained to the person in one line)
        print_failure(error, options)
    return 1


def progress() -> Report:
    """Return a function that prints a line with the seconds since now."""
    began = time.monotonic()

    def report(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    return report


async def run(options: UpOptions, source: Source, recording: Recording, report: Report) -> int:
    """Run the cluster until a signal, or with --once until it was tried out. Returns the exit code."""
    cancel_at_first_signal(recording, report)
    is_up = False
    try:
        async with (
            running(options, source, recording, report) as (cluster, proxies, verdict),
            demo_if(options, cluster, recording.memory, report) as dead,
        ):
            is_up = True
            report(verdict)
            if options.once:
                return 0
            print(screen(cluster, proxies, options), flush=True)
            recording.enter("up")
            async with asyncio.TaskGroup() as group:
                group.create_task(keep_running(cluster, report, dead))
                group.create_task(serve_requests(cluster, recording.memory, report))
    except asyncio.CancelledError:
        report("stopped; nothing is left running")
    return 0 if is_up else STOPPED_EARLY


@asynccontextmanager
async def demo_if(options: UpOptions, cluster: Cluster, memory: Memory, report: Report) -> AsyncIterator[set[str]]:
    """Provide the programs that are meant to be dead: one in the demo fleet, otherwise none."""
    if not options.demo:
        yield set()
        return
    async with demo_fleet(cluster, memory, report) as dead:
        yield dead


def cancel_at_first_signal(recording: Recording, report: Report) -> None:
    """Cancel this task at the first signal. Later signals are ignored, so that cleaning up is not interrupted."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def first(number: signal.Signals) -> None:
        for each in numbers:
            loop.add_signal_handler(each, lambda: None)
        report(f"{number.name}: stopping")
        recording.enter("stopping")
        if task:
            task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, first, number)


@asynccontextmanager
async def running(
    options: UpOptions, source: Source, recording: Recording, report: Report
) -> AsyncIterator[tuple[Cluster, list[dict[str, Any]], str]]:
    """Provide the cluster, the proxies that were tried out, and the verdict."""
    with workspace(options, source, report) as (where, memory):
        ensure_room(where.folder)
        report(f"data, logs and secrets are in {where.folder.path}")
        async with services(where) as (postgres, rabbitmq), names(where, postgres, rabbitmq) as (database, vhost):
            cluster = Cluster(where.folder, where.ports, postgres, rabbitmq, database, vhost, options.port)
            cluster.master_settings = MASTER_SETTINGS if options.demo else {}
            async with recording.of(cluster, memory):
                try:
                    known = bool(memory.nodes)
                    await start(cluster, options, memory, report)
                    yield cluster, *await tried_out(cluster, memory, known, report)
                finally:
                    await cluster.close()


async def tried_out(cluster: Cluster, memory: Memory, known: bool, report: Report) -> tuple[list[dict[str, Any]], str]:
    """Return the proxies that work, and the verdict. In a new cluster all must work. Raises ProgramError."""
    if not known:
        return await try_out(cluster, await ensure_location(cluster, memory.location_id), report), "everything works"
    proxies = await try_again(cluster, report)
    left_out = 3 - len(proxies)
    if left_out:
        return proxies, f"the cluster runs, and all proxies that were tried work ({left_out} of 3 could not be tried)"
    return proxies, "everything works"


@contextmanager
def workspace(options: UpOptions, source: Source, report: Report) -> Iterator[tuple[Where, Memory]]:
    """Provide folder and ports: those of the last start when they are kept."""
    if options.keep:
        with opened(options.keep, source) as (folder, memory):
            ports = reclaimed(memory.ports, SERVICES) if memory.ports else claim_block()
            memory.ports = ports.first
            memory.write()
            with ports.held():
                yield Where(source, folder, ports, report), memory
        return
    folder = scratch()
    try:
        with claim_block().held() as ports:
            yield Where(source, folder, ports, report), Memory()
    except Exception:
        keep_logs(folder, options.port)
        raise
    finally:
        remove(folder)


@asynccontextmanager
async def services(where: Where) -> AsyncIterator[tuple[PostgreSQL, RabbitMQ]]:
    """Provide both services, not started yet. They end on leaving, in good order when their data is kept."""
    postgres, rabbitmq = await where.postgres(), await where.rabbitmq()
    try:
        yield postgres, rabbitmq
    finally:
        async with asyncio.TaskGroup() as group:
            for service in (postgres, rabbitmq):
                group.create_task(leave(service, durable=where.folder.durable))


async def leave(service: PostgreSQL | RabbitMQ, *, durable: bool) -> None:
    if durable:
        await service.stop()
    await service.end()


@asynccontextmanager
async def names(where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ) -> AsyncIterator[tuple[Database, Vhost]]:
    """Provide our database and virtual host, not created yet, with unique names in services that others use too."""
    own = f"maybe-{secrets.token_hex(4)}"
    foreign = not where.folder.durable
    drop_database = foreign and isinstance(postgres.program, Elsewhere)
    drop_vhost = foreign and isinstance(rabbitmq.program, Elsewhere)
    database, vhost = (own if drop else "maybe" for drop in (drop_database, drop_vhost))
    try:
        yield postgres.admin.named(database), rabbitmq.admin.named(vhost)
    finally:
        if drop_database:
            await postgres.drop(database)
        if drop_vhost and await rabbitmq.has(vhost):
            await rabbitmq.drop(vhost)


async def start(cluster: Cluster, options: UpOptions, memory: Memory, report: Report) -> None:
    """Start everything, as much as possible concurrently. Raises ProgramError."""
    known = bool(memory.nodes)
    async with asyncio.TaskGroup() as group:
        group.create_task(start_postgres(cluster, report))
        group.create_task(start_rabbitmq(cluster, report))
        if not known:
            group.create_task(launch_new(cluster, options.nodes or DEFAULT_NODES, memory))
    async with patience("waiting for the master", report):
        await cluster.master()
    cluster.api.auth = DatabaseToken({**cluster.database.environment, **cluster.vhost.environment})
    report(f"the master is ready at http://127.0.0.1:{options.port}")
    if known:
        await bring_back(cluster, memory, report)
        await launch_new(cluster, missing_nodes(len(cluster.nodes), options.nodes), memory)
    async with patience("waiting for the nodes", report):
        await join_all(cluster, memory, report)


def missing_nodes(present: int, requested: int | None) -> int:
    """Count the nodes to add to those that came back. A kept cluster without any gets two."""
    return max(0, (requested or (DEFAULT_NODES if present == 0 else present)) - present)


async def start_postgres(cluster: Cluster, report: Report) -> None:
    async with patience("starting PostgreSQL", report):
        await cluster.postgres.start()
        await cluster.postgres.ensure(cluster.database.name)
    report(f"PostgreSQL is ready on port {cluster.database.port}")


async def start_rabbitmq(cluster: Cluster, report: Report) -> None:
    report("starting RabbitMQ, which takes about 10 s")
    async with patience("starting RabbitMQ", report):
        await cluster.rabbitmq.start()
        await cluster.rabbitmq.ensure(cluster.vhost.name)
    report(f"RabbitMQ is ready; its management UI: {cluster.vhost.management_url}")


if __name__ == "__main__":
    sys.exit(main())
