"""A node moves to another broker, address or authority without a moment in which it hears nobody, and comes back from
those that it loses."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aio_pika.abc import AbstractIncomingMessage

from master.broker import Broker, password_hash
from node.agent.broker_connection import MoveTimes
from node.state.identity import Identity, read_identity
from node.state.manual_move import ManualMove, write_manual_move
from shared.enrolment.bodies import NodeConfig
from tests.master.half_master import CLUSTER, NODE, HalfMaster, half_master
from tests.master.light_node import LightNode, light_node
from tests.services.rabbitmq import RabbitMQ
from tests.services.relay import Relay, relays
from tests.services.vhosts import Vhost
from tests.tls.authority import Authority
from tests.tls.terminator import tls_in_front

PASSWORD = "hush"
QUICK = MoveTimes(trial_s=2.0, linger_s=0.2, patience_s=1.0, make_way_s=2.0)
SLOW = replace(QUICK, trial_s=20.0)


@dataclass
class Place:
    """A broker with a master, and a wire to it that can be cut."""

    vhost: Vhost
    master: HalfMaster
    wire: Relay

    @property
    def url(self) -> str:
        """The address for nodes, without a login."""
        return f"amqp://{self.wire.host}:{self.wire.own_port}/{self.vhost.name}"


@asynccontextmanager
async def place(rabbitmq: RabbitMQ) -> AsyncIterator[Place]:
    """A virtual host stands for a broker: nothing of it is known in another one."""
    vhost = await rabbitmq.create(f"maybe-{secrets.token_hex(6)}")
    broker = Broker(vhost.management_api)
    try:
        await broker.ensure_all({NODE: password_hash(PASSWORD)})
        async with half_master(vhost) as master, relays(1, vhost.host, vhost.port) as [wire]:
            yield Place(vhost, master, wire)
    finally:
        await broker.close()
        await rabbitmq.drop(vhost.name)


@dataclass
class Stage:
    """Two brokers, and a node at the first one."""

    a: Place
    b: Place
    folder: Path

    @property
    def identity(self) -> Identity:
        """What is on disk, or at first the identity from the enrolment."""
        found = read_identity(self.folder / "identity.json")
        url = self.a.url.replace("://", f"://node-{NODE}:{PASSWORD}@")
        members = {"node_id": NODE, "name": "n", "cluster": CLUSTER, "amqp_urls": [url], "queue": f"mp.node.{NODE}"}
        return found or Identity(NodeConfig.model_validate(members))

    @asynccontextmanager
    async def node(self, times: MoveTimes = QUICK) -> AsyncIterator[LightNode]:
        async with light_node(self.identity, self.folder, times) as node:
            yield node

    async def consumed_at(self, place: Place) -> None:
        """Wait until the node's queue is consumed at this broker alone."""
        async with asyncio.timeout(20):
            while [await one.master.consumers() for one in (self.a, self.b)] != [
                int(one is place) for one in (self.a, self.b)
            ]:
                await asyncio.sleep(0.05)

    async def settles_at(self, place: Place, rev: int) -> None:
        """The node is at this broker alone, hears its master there, and keeps no way back."""
        await self.consumed_at(place)
        await place.master.change_arrives(rev)
        async with asyncio.timeout(20):
            while self.identity.moves.previous or self.identity.moves.next:
                await asyncio.sleep(0.05)


@pytest.fixture
async def stage(rabbitmq: RabbitMQ, tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(place(rabbitmq)) for _ in range(2)]
        yield Stage(a, b, tmp_path)


async def test_a_node_moves_to_another_broker_and_forgets_the_first_when_its_master_has_confirmed(stage: Stage):
    async with stage.node():
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, stage.b.url)
        report = await stage.b.master.reported("trial", 1)
        assert report.url == stage.b.url
        await stage.settles_at(stage.b, 7)
        assert stage.identity.moves.current.confirmed


async def test_the_first_broker_is_kept_as_a_way_back_until_the_master_has_confirmed(stage: Stage):
    stage.b.master.confirms = False
    async with stage.node():
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, stage.b.url)
        await stage.consumed_at(stage.b)
        stage.b.wire.cut()
        back = await stage.a.master.reported("failed", 1)
        assert back.url == stage.a.url
        await stage.consumed_at(stage.a)
        await stage.a.master.change_arrives(7)
        await stage.b.wire.open()
        stage.b.master.confirms = True
        await stage.a.master.move(1, stage.b.url)
        await stage.settles_at(stage.b, 8)


async def test_a_broker_that_is_away_is_given_up_and_reported_over_the_old_link(stage: Stage):
    async with stage.node():
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, "amqp://127.0.0.1:1/")
        failed = await stage.a.master.reported("failed", 1)
        assert "127.0.0.1:1" in failed.reason
        assert failed.url == stage.a.url
        await stage.settles_at(stage.a, 7)


@pytest.mark.long
async def test_a_stuck_broker_is_given_up_in_time(stage: Stage):
    async with stage.node():
        await stage.a.master.reported("moved", 0)
        stage.b.wire.freeze()
        await stage.a.master.move(1, stage.b.url)
        assert "does not answer" in (await stage.a.master.reported("failed", 1)).reason
        await stage.settles_at(stage.a, 7)


async def test_a_refused_login_fails_at_once(stage: Stage, rabbitmq: RabbitMQ):
    async with stage.node(SLOW):
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, f"amqp://{rabbitmq.admin.host}:{rabbitmq.admin.port}/no-such-vhost")
        async with asyncio.timeout(10):
            assert "no-such-vhost" in (await stage.a.master.reported("failed", 1)).reason


async def test_a_certificate_of_another_authority_fails_at_once_and_one_of_the_right_one_is_taken(stage: Stage):
    authority, folder = Authority(), stage.folder
    certificate = authority.issue(folder, "127.0.0.1")
    async with stage.node(SLOW), tls_in_front(certificate, stage.b.vhost.host, stage.b.vhost.port) as port:
        url = f"amqps://127.0.0.1:{port}/{stage.b.vhost.name}"
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, url, ca=Authority("Other CA").pem)
        async with asyncio.timeout(10):
            assert "certificate is refused" in (await stage.a.master.reported("failed", 1)).reason
        await stage.a.master.move(2, url, ca=authority.pem + Authority("Other CA").pem)
        assert (await stage.b.master.reported("trial", 2)).url == url
        await stage.settles_at(stage.b, 7)


async def test_a_move_to_another_address_of_the_same_broker_hands_the_queue_over(stage: Stage):
    """From amqp:// to amqps:// at the broker that the node's own consumer occupies."""
    certificate = (authority := Authority()).issue(stage.folder, "127.0.0.1")
    async with stage.node(), tls_in_front(certificate, stage.a.vhost.host, stage.a.vhost.port) as port:
        await stage.a.master.reported("moved", 0)
        url = f"amqps://127.0.0.1:{port}/{stage.a.vhost.name}"
        await stage.a.master.move(1, url, ca=authority.pem)
        assert (await stage.a.master.reported("moved", 1)).url == url
        await stage.settles_at(stage.a, 7)


async def test_a_queue_that_another_program_occupies_is_no_place_to_move_to(stage: Stage):
    async with light_node_elsewhere(stage), stage.node():
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, stage.b.url)
        assert "exclusive" in (await stage.a.master.reported("failed", 1)).reason
        await stage.a.master.change_arrives(7)


@asynccontextmanager
async def light_node_elsewhere(stage: Stage) -> AsyncIterator[None]:
    """Another program consumes the node's queue at the second broker."""
    async with asyncio.timeout(20):
        channel = stage.b.master.channel
        queue = await channel.get_queue(f"mp.node.{NODE}", ensure=False)
        tag = await queue.consume(ignored, exclusive=True)
        yield
        await queue.cancel(tag)


async def test_an_old_request_changes_nothing_and_is_answered(stage: Stage):
    async with stage.node():
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(2, stage.b.url)
        await stage.settles_at(stage.b, 7)
        begun = len(stage.b.master.reports)
        await stage.b.master.move(1, stage.a.url)
        assert (await stage.b.master.reported("moved", 2, begun=begun)).url == stage.b.url
        await stage.consumed_at(stage.b)


async def test_an_aborted_move_ends_the_attempt_and_the_connection_in_use_stays(stage: Stage):
    async with stage.node(SLOW) as node:
        await stage.a.master.reported("moved", 0)
        connection = node.links.bus
        await stage.a.master.move(1, "amqp://127.0.0.1:1/")
        await stage.a.master.move(2, stage.a.url)
        await stage.a.master.reported("moved", 2)
        await stage.settles_at(stage.a, 7)
        assert node.links.bus is connection


@pytest.mark.long
async def test_a_newer_request_ends_the_attempt_of_an_older_one(stage: Stage):
    async with stage.node(SLOW):
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, "amqp://127.0.0.1:1/")
        await stage.a.master.move(2, stage.b.url)
        await stage.b.master.reported("moved", 2)
        await stage.settles_at(stage.b, 7)


async def test_a_request_that_cannot_be_read_is_reported_as_failed(stage: Stage):
    async with stage.node():
        await stage.a.master.reported("moved", 0)
        body = {"rev": 3, "amqp_urls": ["amqps://broker/"], "ca": "-----BEGIN CERTIFICATE-----"}
        await stage.a.master.send("config", json.dumps(body).encode())
        assert "ca: " in (await stage.a.master.reported("failed", 3)).reason
        await stage.settles_at(stage.a, 7)


async def test_a_confirmation_over_the_old_link_does_not_count(stage: Stage):
    stage.b.master.confirms = False
    async with stage.node(replace(QUICK, linger_s=20.0)):
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, stage.b.url)
        await stage.b.master.reported("trial", 1)
        await stage.a.master.send("config-ok", b'{"rev":1}')
        await stage.a.master.send("config", b"{}")  # is handled after it
        await stage.b.master.change_arrives(7)
        assert stage.identity.moves.previous


async def test_a_node_that_ended_while_it_tried_goes_on_when_it_starts_again(stage: Stage):
    stage.b.wire.cut()
    async with stage.node(SLOW):
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, stage.b.url)
        await until(lambda: stage.identity.moves.next is not None)
    await stage.b.wire.open()
    stage.a.wire.cut()
    async with stage.node(SLOW):
        await stage.b.master.reported("moved", 1)
        await stage.settles_at(stage.b, 7)


async def test_a_node_that_ended_in_a_trial_and_finds_the_new_broker_away_returns_to_the_first(stage: Stage):
    stage.b.master.confirms = False
    async with stage.node():
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, stage.b.url)
        await stage.consumed_at(stage.b)
    stage.b.wire.cut()
    async with stage.node():
        assert (await stage.a.master.reported("failed", 1)).url == stage.a.url
        await stage.a.master.change_arrives(7)


@pytest.mark.long
async def test_a_broker_without_a_master_is_left_again_while_the_move_is_not_confirmed(stage: Stage):
    stage.b.master.confirms = False
    async with stage.node(replace(QUICK, silence_s=1.0)):
        await stage.a.master.reported("moved", 0)
        await stage.a.master.move(1, stage.b.url)
        assert "no master" in (await stage.a.master.reported("failed", 1)).reason


@pytest.mark.parametrize("runs", [True, False])
async def test_a_stranded_node_is_moved_by_hand_whether_its_agent_runs_or_not(stage: Stage, runs: bool):
    stage.a.wire.cut()
    order = ManualMove.model_validate({"amqp_urls": (stage.b.url,)})
    if not runs:
        write_manual_move(stage.folder / "broker.json", order)
    async with stage.node():
        if runs:
            write_manual_move(stage.folder / "broker.json", order)
        await stage.b.master.reported("trial", 0)
        await stage.b.master.move(4, stage.b.url)
        await stage.b.master.reported("moved", 4)
        await stage.settles_at(stage.b, 7)
        assert not (stage.folder / "broker.json").exists()


async def ignored(message: AbstractIncomingMessage) -> None:
    await message.ack()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)
