"""A real agent moves between two real brokers, while any of the three is killed or frozen at any step: in the end it
consumes at the wanted broker alone, a change arrives there, and no stream through its proxy was cut."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiormq.exceptions import AMQPError

from master.broker import Broker, password_hash
from master.errors import BrokerAway
from node.state.identity import Identity, write_identity
from shared.enrolment.bodies import NodeConfig
from tests.clients.streams import free_port
from tests.clients.traffic import Tunnel, echo_server, tunnel
from tests.launch.registry import ROOT
from tests.master.half_master import CLUSTER, NODE, HalfMaster, half_master
from tests.services.folders import Folder
from tests.services.ports import claim_block
from tests.services.programs import Process
from tests.services.rabbitmq import RabbitMQ
from tests.services.sources import Where

PASSWORD = "hush"
SETTLED_S = 120.0
AGENT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import node.agent.session as session
from node.agent.broker_connection import MoveTimes
session.MOVE_TIMES = MoveTimes(trial_s=6.0, linger_s=1.0, patience_s=4.0, make_way_s=2.0)
from node.__main__ import main
main()
"""
"""The agent with less patience than 30 s."""

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def brokers(where: Where) -> Iterator[list[RabbitMQ]]:
    """Two brokers that know nothing of each other."""
    made: list[RabbitMQ] = []
    with claim_block().held() as first, claim_block().held() as second:

        async def start() -> None:
            for name, ports in (("first", first), ("second", second)):
                folder = where.folder.path / f"{name}-broker"
                folder.mkdir()
                folder.chmod(0o711)
                broker = await Where(where.source, Folder(folder, durable=True), ports, where.report).rabbitmq()
                await broker.start()
                made.append(broker)

        asyncio.run(start())
        yield made
        for broker in made:
            asyncio.run(broker.end())


@dataclass
class Place:
    """A broker, and a master there whenever it can be."""

    rabbitmq: RabbitMQ
    records: dict[int, bytes]
    master: HalfMaster | None = None
    requested: set[int] = field(default_factory=set[int])

    @property
    def url(self) -> str:
        return f"amqp://{self.rabbitmq.admin.host}:{self.rabbitmq.admin.port}/"

    async def attend(self) -> None:
        """Be connected as a master, again and again."""
        while True:
            with suppress(AMQPError, OSError, TimeoutError, BrokerAway):
                async with asyncio.timeout(20):
                    broker = Broker(self.rabbitmq.admin.in_clear().management_api)
                    await broker.ensure_all({NODE: password_hash(PASSWORD)})
                    await broker.close()
                async with half_master(self.rabbitmq.admin) as master:
                    master.records, master.requested = self.records, self.requested
                    self.master = master
                    await master.ended.wait()
            self.master = None
            await asyncio.sleep(0.2)

    async def consumers(self) -> int | None:
        """Count the consumers of the node's queue; None while that is unknown."""
        with suppress(AMQPError, OSError, TimeoutError):
            async with asyncio.timeout(3):
                return await self.master.consumers() if self.master else None
        return None

    async def ask(self, rev: int, url: str) -> None:
        """Ask the node to move, if there is a master here."""
        with suppress(AMQPError, OSError, TimeoutError):
            async with asyncio.timeout(3):
                if self.master:
                    await self.master.move(rev, url)

    async def change_arrives(self, rev: int) -> bool:
        with suppress(AMQPError, OSError, TimeoutError):
            async with asyncio.timeout(5):
                if self.master:
                    await self.master.change_arrives(rev)
                    return True
        return False


@dataclass
class Stage:
    """Two places, an agent, and a stream through its proxy."""

    places: list[Place]
    agent: Process
    beating: asyncio.Task[None]
    rev: int = 1
    number: int = 10
    """Of the last change."""

    async def logged(self, text: str, begun: int) -> None:
        async with asyncio.timeout(60):
            while text.encode() not in self.agent.log.read_bytes()[begun:]:
                await asyncio.sleep(0.002)

    async def settles_at(self, wanted: Place) -> None:
        """Ask as a master does, again and again, until the node is there alone and hears what is sent there."""
        other = next(place for place in self.places if place is not wanted)
        async with asyncio.timeout(SETTLED_S):
            while True:
                for place in self.places:
                    await place.ask(self.rev, wanted.url)
                await asyncio.sleep(1)
                if (await wanted.consumers(), await other.consumers()) == (1, 0):
                    self.number += 1
                    if await wanted.change_arrives(self.number):
                        break
        assert not self.beating.done(), self.beating.exception()


@asynccontextmanager
async def agent_at(place: Place, folder: Path) -> AsyncIterator[Process]:
    url = place.url.replace("://", f"://node-{NODE}:{PASSWORD}@")
    members = {"node_id": NODE, "name": "n", "cluster": CLUSTER, "amqp_urls": [url], "queue": f"mp.node.{NODE}"}
    folder.mkdir()
    write_identity(folder / "identity.json", Identity(NodeConfig.model_validate(members)))
    settings = {
        "NODE_DATA_DIR": str(folder),
        "NODE_WORKERS": "1",
        "NODE_LISTEN": "127.0.0.1",
        "NODE_ALLOW_DESTINATIONS": "127.0.0.0/8",
        "NODE_ENROL_PORT": str(free_port()),
    }
    environment = {**os.environ, **settings}
    agent = Process("agent", [sys.executable, "-c", AGENT], folder.parent / "agent.log", environment, whole=False)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.kill()
        stop = Process("stop", [sys.executable, "-c", AGENT, "stop"], folder.parent / "stop.log", environment)
        await stop.start()
        async with asyncio.timeout(30):
            while stop.is_running:
                await asyncio.sleep(0.05)


async def beats(stream: Tunnel) -> None:
    """Bytes go there and back, until cancelled."""
    while True:
        await stream.beat(512)
        await asyncio.sleep(0.05)


@pytest.fixture
async def stage(brokers: list[RabbitMQ], tmp_path: Path) -> AsyncIterator[Stage]:
    proxy = {"host": "127.0.0.1", "port": free_port(), "username": "alice", "password": "wonder"}
    record = {"id": 1, "version": 1, "content": 7, "protocol": "http", "engine": "builtin", **proxy}
    records = {1: json.dumps({name: value for name, value in record.items() if name != "host"}).encode()}
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        places = [Place(broker, records) for broker in brokers]
        tasks = [group.create_task(place.attend()) for place in places]
        async with asyncio.timeout(60):
            while not all(place.master for place in places):
                await asyncio.sleep(0.1)
        agent = await stack.enter_async_context(agent_at(places[0], tmp_path / "data"))
        echo = await stack.enter_async_context(echo_server())
        async with asyncio.timeout(60):
            while not await places[0].change_arrives(2):
                await asyncio.sleep(0.2)
            while (stream := await opened(proxy, echo)) is None:
                await asyncio.sleep(0.2)
        beating = group.create_task(beats(stream))
        yield Stage(places, agent, beating)
        for task in (*tasks, beating):
            task.cancel()
        await stream.close()


async def opened(proxy: dict[str, object], echo: int) -> Tunnel | None:
    with suppress(OSError):
        return await tunnel(proxy, echo)
    return None


STEPS = ("", "broker.move_started", "bus.up", "broker.moved", "broker.confirmed")


@pytest.mark.parametrize("victim", ["agent", "old", "new"])
@pytest.mark.parametrize("act", ["kill", "freeze"])
async def test_whoever_fails_at_whatever_step_the_node_comes_to_the_wanted_broker(
    stage: Stage, victim: str, act: str
) -> None:
    await stage.settles_at(stage.places[0])
    for step in STEPS:
        stage.rev += 1
        old, new = stage.places[stage.rev % 2], stage.places[(stage.rev + 1) % 2]
        program = {"agent": stage.agent, "old": old.rabbitmq, "new": new.rabbitmq}[victim]
        begun = stage.agent.log.stat().st_size
        await old.ask(stage.rev, new.url)
        if step:
            await stage.logged(step, begun)
        await (program.kill() if act == "kill" else program.freeze())
        await asyncio.sleep(12 if act == "freeze" else 1)
        await (program.start() if act == "kill" else program.thaw())
        await stage.settles_at(new)
