"""Enrolment between a real master's side and a real waiting node, over real sockets, database and broker."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import httpx
import pytest
from structlog.testing import capture_logs

from master.broker import Broker
from master.db.database import Database
from master.domain.nodes.enrolment.service import Enrolment
from master.errors import Invalid, NodeRefused, NodeTooSlow, NodeUnreachable
from master.tls import trusted
from shared.bus.addresses import spread
from shared.enrolment.challenge import new_challenge
from shared.enrolment.handshake import MasterHandshake
from shared.proxies import NodeId
from tests.integration.conftest import ANY_PORT
from tests.master.one_link import NOWHERE, link_of
from tests.master.waiting_node import WaitingNode
from tests.services.ports import HOST, PortBlock
from tests.services.postgres import Database as Address
from tests.services.vhosts import connected_as


@asynccontextmanager
async def server(port: int, answer: bytes | None) -> AsyncGenerator[None]:
    """Answers every connection with these bytes, or never."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if answer is None:
            await ended.wait()
        else:
            writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(serve, HOST, port)
    yield
    ended.set()
    listener.close()


async def enrol(enrolment: Enrolment, port: int, challenge: str) -> tuple[NodeId, bool]:
    return await enrolment.enrol(HOST, port, challenge, None, None, {})


async def count_nodes(rows: Database) -> int:
    async with rows.session() as session:
        return len(await session.rows("sync.select_logins"))


async def test_a_node_with_the_right_challenge_gets_a_login_that_works(enrolment: Enrolment, node: WaitingNode):
    node_id, created = await enrol(enrolment, node.port, node.challenge)
    assert created
    config = node.accepted[0].config
    assert (config.node_id, config.cluster, config.queue) == (node_id, "c1", f"mp.node.{node_id}")
    assert "-" in config.name
    connection = await connected_as(config)
    await connection.close()


async def test_a_node_gets_all_brokers_of_a_cluster_in_an_order_of_its_own(
    rows: Database, broker: Broker, node: WaitingNode
):
    urls = tuple(f"amqp://192.0.2.{number}:5672/v" for number in (1, 2, 3))
    link = replace(link_of(NOWHERE), node_amqp_urls=urls)
    enrolment = Enrolment(rows, broker, cluster="c1", link=lambda: link, enrol_ports=ANY_PORT, answer_timeout_s=2)
    node_id, _ = await enrol(enrolment, node.port, node.challenge)
    await enrolment.close()
    assert node.accepted[0].config.broker.bare_urls == spread(urls, node_id)


async def test_a_wrong_challenge_is_refused_and_leaves_nothing_behind(
    enrolment: Enrolment, node: WaitingNode, rows: Database
):
    with pytest.raises(NodeRefused):
        await enrol(enrolment, node.port, new_challenge())
    assert (node.accepted, await count_nodes(rows)) == ([], 0)


async def guess(node: WaitingNode, times: int) -> None:
    async with httpx.AsyncClient(verify=trusted(), trust_env=False, timeout=30) as stranger:
        for _ in range(times):
            hello = MasterHandshake(new_challenge()).hello.model_dump()
            answer = await stranger.post(f"http://{HOST}:{node.port}/enrol/hello", json=hello)
            assert answer.status_code in (403, 429)


async def test_a_thousand_wrong_challenges_do_not_lock_the_right_one_out(enrolment: Enrolment, node: WaitingNode):
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(guess(node, 50))
    assert (await enrol(enrolment, node.port, node.challenge))[1]


async def test_an_answer_that_gets_lost_is_no_half_state(enrolment: Enrolment, node: WaitingNode, block: PortBlock):
    async with losing_answers_to(b"/enrol/config", node.port, block.port(2)):
        with pytest.raises(NodeUnreachable):
            await enrol(enrolment, block.port(2), node.challenge)
    first = node.accepted[0].config.node_id
    assert await enrol(enrolment, node.port, node.challenge) == (first, False)
    connection = await connected_as(node.accepted[1].config)
    await connection.close()


@asynccontextmanager
async def losing_answers_to(path: bytes, target: int, port: int, *, held: bool = False) -> AsyncGenerator[None]:
    """A line to the node that passes every request on and loses the answers to these; `held`: it stays open then."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = int(request.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        there, back = await asyncio.open_connection(HOST, target)
        back.write(request + await reader.readexactly(length))
        answer = await there.readuntil(b"}")
        if path not in request:
            writer.write(answer)
        elif held:
            await ended.wait()
        for each in (back, writer):
            each.close()
            await each.wait_closed()

    listener = await asyncio.start_server(serve, HOST, port)
    yield
    ended.set()
    listener.close()


async def test_the_same_challenge_again_is_the_same_node_without_a_call_once_it_has_reported(
    enrolment: Enrolment, node: WaitingNode, database: Address
):
    node_id, _ = await enrol(enrolment, node.port, node.challenge)
    async with database.connection() as connection:
        await connection.execute("UPDATE node_status SET session = 1")
    assert await enrol(enrolment, 1, node.challenge) == (node_id, False)


async def test_what_was_heard_on_the_wire_is_of_no_use_again(node: WaitingNode):
    master = MasterHandshake(node.challenge)
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{node.port}", verify=trusted(), trust_env=False) as wire:
        answers = [await wire.post("/enrol/hello", json=master.hello.model_dump()) for _ in range(2)]
        assert answers[0].json()["e_n"] != answers[1].json()["e_n"]
        forged = await wire.post("/enrol/config", json={"box": answers[0].json()["box"]})
    assert (forged.status_code, node.accepted) == (403, [])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "its answer is not a waiting node's"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "it answered 302"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "it answered 403"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nrefused\n", "it answered 404"),
        (b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", "it answered 429"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "it answered 500"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000, "its answer is too long"),
        (b"220 mail.example.org ESMTP\r\n", "RemoteProtocolError"),
        (b"", "RemoteProtocolError"),
        (None, "no answer in time"),
    ],
    ids=["other", "redirect", "403", "404", "429", "500", "huge", "mail", "nothing", "silent"],
)
async def test_whatever_answers_there_that_is_no_waiting_node_is_answered_for_in_the_same_words(
    enrolment: Enrolment, block: PortBlock, answer: bytes | None, reason: str
):
    async with server(block.port(3), answer):
        assert await unmet(enrolment, block.port(3)) == reason


async def test_nobody_there_is_answered_for_in_the_same_words(enrolment: Enrolment, block: PortBlock):
    assert await unmet(enrolment, block.port(4)) == "ConnectError"


async def unmet(enrolment: Enrolment, port: int) -> str:
    """What the master's log says of nobody who waits at this port; the asker learns nothing of it."""
    with capture_logs() as logs, pytest.raises(NodeUnreachable) as caught:
        await enrol(enrolment, port, new_challenge())
    assert str(caught.value) == f"no waiting node answers at {HOST}:{port}; the reason is in the master's log"
    assert caught.value.members == {"ip": HOST, "port": port}
    return next(entry["reason"] for entry in logs if entry["event"] == "node.not_reached")


async def test_only_a_node_that_has_proven_its_challenge_is_called_slow(
    enrolment: Enrolment, node: WaitingNode, block: PortBlock
):
    async with losing_answers_to(b"/enrol/config", node.port, block.port(5), held=True):
        with pytest.raises(NodeTooSlow, match="ask again"):
            await enrol(enrolment, block.port(5), node.challenge)


async def test_no_port_but_those_of_nodes_is_called(enrolment: Enrolment, rows: Database, broker: Broker):
    ports = (range(3006, 3007), range(3100, 3200))
    strict = Enrolment(rows, broker, cluster="c1", link=lambda: link_of(NOWHERE), enrol_ports=ports)
    for port in (22, 3005, 3007, 3099, 3200):
        with pytest.raises(Invalid, match=r"3006, 3100-3199 .*ENROL_PORTS") as caught:
            await enrol(strict, port, new_challenge())
        assert caught.value.members["errors"][0]["pointer"] == "/port"
    await strict.close()


async def test_a_node_that_drips_its_answer_holds_nobody_up(enrolment: Enrolment, block: PortBlock):
    over = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.2)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    listener = await asyncio.start_server(drip, HOST, block.port(6))
    async with asyncio.timeout(15):
        assert await unmet(enrolment, block.port(6)) == "no answer in time"
        await over.wait()
    listener.close()
    await listener.wait_closed()


@pytest.mark.parametrize("ip", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "x"])
async def test_addresses_that_no_node_has_are_refused_before_any_call(enrolment: Enrolment, ip: str):
    with pytest.raises(Invalid):
        await enrolment.enrol(ip, 3006, new_challenge(), None, None, {})
