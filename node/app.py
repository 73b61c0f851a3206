"""The composition root: puts the node together and runs it as one group of tasks."""

import asyncio
import resource
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from node.agent import Agent
from node.engine import Engine, EngineError
from node.engine.builtin import BuiltinEngine
from node.engine.builtin.guard import CLOSED
from node.engine.builtin.own_addresses import own_networks
from node.engine.builtin.upgrade import Moved
from node.engine.three_proxy import ThreeProxyEngine
from node.engine.three_proxy import version as three_proxy_version
from node.host import addresses, agent_version, host_name, os_name
from node.identity import Identity, read_identity, write_identity
from node.local_copy import Holding
from node.own_services import broker_addresses
from node.presence import sole_agent
from node.reports import Reports
from node.settings import Settings
from node.store import Store
from node.supervisor import Supervisor
from node.uplink import Uplink
from node.usage import Tellings
from shared.bus import REFUSED_WAIT_S, Bus
from shared.bus.intake import Intake
from shared.enrolment import NodeFacts
from shared.proxies import NodeId
from shared.tasks import run_until

if TYPE_CHECKING:
    from node.enrolment import Waiting

log = structlog.get_logger()

FIRST_WAIT_S = 1.0
"""Between two tries to log in for the first time: the master makes the login when it has heard that we know it."""


class HaltingEngine(Engine, Protocol):
    """An engine whose processes can all be ended."""

    async def halt(self) -> None:
        """End every process of this engine's directory."""
        ...


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of this node by name, and their versions."""

    by_name: Mapping[str, HaltingEngine]
    versions: Mapping[str, str]
    builtin: BuiltinEngine


@asynccontextmanager
async def opened_engines(settings: Settings, changed: asyncio.Event) -> AsyncGenerator[Engines]:
    """Open what this host has; whatever runs already is found again."""
    async with AsyncExitStack() as stack:
        builtin = BuiltinEngine(
            settings.data_dir / "builtin",
            listen=settings.listen,
            workers=settings.workers,
            allow_destinations=settings.allow_destinations,
            connections_per_source=settings.connections_per_source,
            on_change=changed.set,
        )
        engines: dict[str, HaltingEngine] = {"builtin": await stack.enter_async_context(builtin)}
        versions = {"builtin": agent_version()}
        if settings.three_proxy is not None:
            three_proxy = ThreeProxyEngine(
                settings.data_dir / "3proxy",
                binary=settings.three_proxy,
                listen=settings.listen,
                closed=private_networks(),
                allow_destinations=settings.allow_destinations,
                on_change=changed.set,
            )
            engines["3proxy"] = await stack.enter_async_context(three_proxy)
            versions["3proxy"] = await three_proxy_version(settings.three_proxy)
        yield Engines(engines, versions, builtin)


def private_networks() -> list[str]:
    """What the built-in engine closes, as it is now."""
    closed = set(CLOSED)
    try:
        closed |= own_networks()
    except (OSError, ValueError) as error:
        log.warning("guard.own_addresses_unknown", error=type(error).__name__)
    return sorted(map(str, closed))


class Program:
    """A running node."""

    def __init__(
        self, settings: Settings, engines: Engines, changed: asyncio.Event, store: Store, upgrade: asyncio.Event
    ) -> None:
        """`changed` is set by an engine in which something happened by itself, `upgrade` by the operator."""
        self._settings, self._engines, self._changed, self._store = settings, engines, changed, store
        self._upgrade = upgrade
        self._copy = store.load()
        self._supervisor = Supervisor(self._copy, engines.by_name, on_change=self._reconciled)
        self._identity = read_identity(settings.identity_file)
        self._renewed = asyncio.Event()
        self._agent: Agent | None = None

    async def run(self) -> None:
        """Serve what the local copy says at once; the broker comes when it comes."""
        log.info("node.started", proxies=len(self._copy.wanted), rev=self._copy.rev, engines=self._engines.versions)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run())
            group.create_task(self._hear_engines())
            group.create_task(self._upgrade_on_demand())
            group.create_task(self._belong())

    async def _hear_engines(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._supervisor.wake()

    async def _upgrade_on_demand(self) -> None:
        while True:
            await self._upgrade.wait()
            self._upgrade.clear()
            try:
                await self._engines.builtin.upgrade()
            except EngineError as error:
                log.error("engine.upgrade_failed", reason=str(error))

    async def _reconciled(self, ran: list[Holding]) -> None:
        if self._agent is not None:
            await self._agent.reconciled(ran)

    async def _belong(self) -> None:
        """Work for the master that this node belongs to; wait to be enrolled as long as there is none."""
        async with asyncio.TaskGroup() as group:
            waiting: Waiting | None = None
            if self._identity is None or self._identity.challenge is not None:
                waiting = self._waiting()
                group.create_task(waiting.run())
            while True:
                if self._identity is None:
                    await self._renewed.wait()
                self._renewed.clear()
                assert self._identity is not None  # noqa: S101 (narrowing)
                await run_until(self._renewed, partial(self._work_as, self._identity, waiting))

    def _waiting(self) -> "Waiting":
        """Its web server takes ten megabytes: a node that is enrolled does without."""
        from node.enrolment import Waiting as Listener  # noqa: PLC0415

        challenge = self._identity.challenge if self._identity is not None else None
        return Listener(self._settings, self._facts(), self._accept, challenge)

    async def _accept(self, identity: Identity) -> None:
        await asyncio.to_thread(write_identity, self._settings.identity_file, identity)
        log.info("node.enrolled", node_id=identity.config.node_id, name=identity.config.name)
        self._identity = identity
        self._renewed.set()

    async def _work_as(self, identity: Identity, waiting: "Waiting | None") -> None:
        if await asyncio.to_thread(self._store.belong_to, identity.owner):
            log.warning("copy.forgotten", reason="this node has another identity now")
            self._copy.forget()
        config = identity.config
        uplink = Uplink(NodeId(config.node_id), config.cluster, self._copy)
        reports = Reports(
            self._copy,
            self._supervisor,
            Tellings(self._engines.by_name.values()),
            uplink,
            version=agent_version(),
            engines=self._engines.versions,
        )
        agent = Agent(self._copy, self._store, self._supervisor, uplink=uplink, reports=reports)

        async def came_up() -> None:
            if waiting is not None and not waiting.proven.is_set():
                await asyncio.to_thread(write_identity, self._settings.identity_file, replace(identity, challenge=None))
                waiting.proven.set()
            await self._protect_broker(config.amqp_url.get_secret_value())
            await agent.came_up()

        uplink.bus = bus = Bus(
            config.amqp_url,
            program="node",
            intake=Intake(config.queue, agent.handle, exclusive=True),
            on_up=came_up,
            refused_wait_s=REFUSED_WAIT_S if identity.challenge is None else FIRST_WAIT_S,
        )
        self._agent = agent
        async with asyncio.TaskGroup() as group:
            group.create_task(self._protect_broker(config.amqp_url.get_secret_value()))
            group.create_task(agent.run())
            group.create_task(bus.run())

    async def _protect_broker(self, amqp_url: str) -> None:
        """Proxies must not reach it, wherever it is; asked again at each connection, for its name may move."""
        addresses = await broker_addresses(amqp_url)
        for engine in self._engines.by_name.values():
            if addresses and isinstance(engine, BuiltinEngine):
                await engine.protect(addresses)

    def _facts(self) -> NodeFacts:
        return NodeFacts(
            host=host_name(),
            os=os_name(),
            agent=agent_version(),
            addresses=addresses(),
            engines=dict(self._engines.versions),
        )


async def run_node(settings: Settings, stop: asyncio.Event, *, upgrade: asyncio.Event) -> None:
    """Run until `stop`; the proxies go on when the agent ends. At each `upgrade` the built-in engine's workers are
    relieved by new ones. Raises NodeError.
    """
    raise_descriptor_limit()
    changed = asyncio.Event()
    with sole_agent(settings):
        async with opened_engines(settings, changed) as engines:
            store = await asyncio.to_thread(Store, settings.copy_file)
            try:
                await run_until(stop, Program(settings, engines, changed, store, upgrade).run)
            finally:
                store.close()
    log.info("node.stopped", proxies="they go on; `maybe-node stop` ends them")


def raise_descriptor_limit() -> None:
    """To the hard limit: the listeners of a worker that died are open here until its successor has them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def upgrade_by_itself(settings: Settings) -> list[Moved]:
    """Relieve the workers that an agent has left. Raises NodeError, EngineError."""
    with sole_agent(settings):
        async with opened_engines(settings, asyncio.Event()) as engines:
            return await engines.builtin.upgrade()


async def halt_engines(settings: Settings) -> None:
    """End every process that runs proxies out of this data directory."""
    async with opened_engines(settings, asyncio.Event()) as engines:
        for engine in engines.by_name.values():
            await engine.halt()
