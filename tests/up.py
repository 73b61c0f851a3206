"""`./dev up`: a whole cluster on this machine, tried out with curl, kept running until Ctrl-C."""

import argparse
import asyncio
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import status
from tests.cluster import Cluster, Node
from tests.kept import Memory, opened
from tests.screen import screen
from tests.services import Database, PostgreSQL, ProgramError, RabbitMQ, Vhost, Where, find_source
from tests.services.folders import remove, scratch
from tests.services.ports import PortError, claim_block, is_free
from tests.services.programs import Elsewhere
from tests.trial import ensure_location, try_out
from tests.watch import keep_running

Tell = Callable[[str], None]
STOPPED_EARLY = 130


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    nodes: int
    once: bool
    keep: Path | None
    port: int


def main() -> int:
    """Exit codes: 0 done, or stopped by a signal once all was up; 1 with the reason; 130 stopped before."""
    wish = read(sys.argv[1:])
    if not is_free(wish.port):
        print(f"port {wish.port} is taken by another program; choose another one: ./dev up --port {wish.port + 100}")
        return 1
    try:
        return asyncio.run(obey(wish, progress()))
    except* (ProgramError, PortError) as group:
        for reason in reasons(group):
            print(f"\nfailed: {reason}", file=sys.stderr)
    return 1


def read(arguments: list[str]) -> Wish:
    parser = argparse.ArgumentParser(prog="./dev up", description=__doc__)
    parser.add_argument("--nodes", type=count, default=2, metavar="N", help="1 to 40; default 2")
    parser.add_argument("--once", action="store_true", help="leave as soon as everything was tried out")
    parser.add_argument("--keep", metavar="DIR", help="keep the data there for the next start")
    parser.add_argument("--port", type=port_number, default=3005, help="of the API; default 3005")
    parser.add_argument("--called-from", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    keep = given.called_from / Path(given.keep).expanduser() if given.keep else None
    return Wish(nodes=given.nodes, once=given.once, keep=keep, port=given.port)


def count(text: str) -> int:
    return between(text, 1, 40)


def port_number(text: str) -> int:
    return between(text, 1, 65535)


def between(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
    return int(text)


def progress() -> Tell:
    """Prints a line with the seconds since now."""
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    return tell


async def obey(wish: Wish, tell: Tell) -> int:
    """Until the work is done or a signal comes. Answers the exit code."""
    cancel_at_first_signal(tell)
    is_up = False
    try:
        async with running(wish, tell) as (cluster, proxies):
            is_up = True
            tell("everything works")
            if wish.once:
                return 0
            print(screen(cluster, proxies, wish.keep), flush=True)
            await keep_running(cluster, tell, changed=lambda: status.write(cluster))
    except asyncio.CancelledError:
        tell("stopped; nothing is left running")
    return 0 if is_up else STOPPED_EARLY


def cancel_at_first_signal(tell: Tell) -> None:
    """Later ones change nothing: the clearing up is not to be interrupted."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def first(number: signal.Signals) -> None:
        for each in numbers:
            loop.add_signal_handler(each, lambda: None)
        tell(f"{number.name}: stopping")
        if task:
            task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, first, number)


@asynccontextmanager
async def running(wish: Wish, tell: Tell) -> AsyncIterator[tuple[Cluster, list[dict[str, Any]]]]:
    """The cluster, tried out, and its proxies."""
    with place(wish, tell) as (where, memory):
        tell(f"data, logs and secrets are in {where.folder.path}")
        async with services(where) as (postgres, rabbitmq), names(where, postgres, rabbitmq) as (database, vhost):
            cluster = Cluster(where.folder, where.ports, postgres, rabbitmq, database, vhost, wish.port)
            try:
                await start(cluster, wish, memory, tell)
                yield cluster, await try_out(cluster, await ensure_location(cluster), tell)
            finally:
                await cluster.close()
                status.forget(wish.port)


@contextmanager
def place(wish: Wish, tell: Tell) -> Iterator[tuple[Where, Memory]]:
    """Folder and ports, the same ones as last time when they are kept."""
    source = find_source(tell)
    if wish.keep:
        with opened(wish.keep, source) as (folder, memory):
            ports = claim_block(memory.ports)
            memory.ports = ports.first
            with ports.held():
                yield Where(source, folder, ports, tell), memory
        return
    folder = scratch()
    try:
        with claim_block().held() as ports:
            yield Where(source, folder, ports, tell), Memory()
    finally:
        remove(folder)


@asynccontextmanager
async def services(where: Where) -> AsyncIterator[tuple[PostgreSQL, RabbitMQ]]:
    """Both, not started yet; ended on leaving, in good order when their data is kept."""
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
    """Our database and virtual host, not made yet. In services that others use too, they get names of their own."""
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


async def start(cluster: Cluster, wish: Wish, memory: Memory, tell: Tell) -> None:
    """Everything, as much of it at once as can be. Raises ProgramError."""
    async with asyncio.TaskGroup() as group:
        group.create_task(start_postgres(cluster, tell))
        group.create_task(start_rabbitmq(cluster, tell))
        group.create_task(launch(cluster, wish, memory))
    await cluster.master()
    tell(f"the master is ready at http://127.0.0.1:{wish.port}")
    status.write(cluster)
    location = await ensure_location(cluster)
    for node in cluster.nodes.values():  # in order, so that node-1 gets the first id
        await join(cluster, node, location, tell)
    memory.nodes = [(node.id, node.ports.first) for node in cluster.nodes.values() if node.id]
    memory.write()


async def start_postgres(cluster: Cluster, tell: Tell) -> None:
    await cluster.postgres.start()
    await cluster.postgres.ensure(cluster.database.name)
    tell(f"PostgreSQL is ready on port {cluster.database.port}")


async def start_rabbitmq(cluster: Cluster, tell: Tell) -> None:
    tell("starting RabbitMQ, which takes some 10 s")
    await cluster.rabbitmq.start()
    await cluster.rabbitmq.ensure(cluster.vhost.name)
    tell(f"RabbitMQ is ready; its management UI: {cluster.vhost.management_url}")


async def launch(cluster: Cluster, wish: Wish, memory: Memory) -> None:
    """The nodes that were there last time, and new ones up to the wished number."""
    for id_, first_port in memory.nodes:
        await cluster.launch(id_=id_, first_port=first_port)
    while len(cluster.nodes) < wish.nodes:
        await cluster.launch()


async def join(cluster: Cluster, node: Node, location_id: int, tell: Tell) -> None:
    if node.id is None:
        await cluster.enrol(node, location_id=location_id)
        tell(f"{node.agent.name} is enrolled by its challenge: node {node.id}, ports {node.ports.range}")
    else:
        await cluster.online(node)
        tell(f"{node.agent.name} is back: node {node.id}, ports {node.ports.range}")


def reasons(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    """What the exceptions in it say."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from reasons(each)
        else:
            yield str(each)


if __name__ == "__main__":
    sys.exit(main())
