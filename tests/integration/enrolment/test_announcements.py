"""What a listener on the wire, a stranger and a holder of a code can do with announcements."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from master.db.database import Database
from master.domain.nodes.enrolment.service import Enrolment
from master.domain.nodes.invitations.announcements import AnnouncementReceiver
from master.domain.nodes.invitations.limits import HANDSHAKES_PER_SENDER, REFUSALS_PER_MINUTE
from shared.enrolment.invitation import Announcement, announce, new_nonce, read_invitation
from shared.http_server import bound_socket
from tests.master.inviting import invitation, invite, invited_node, listening, remove, running, until
from tests.services.ports import PortBlock


@pytest.fixture
async def announcements(rows: Database, enrolment: Enrolment) -> AsyncIterator[AnnouncementReceiver]:
    made = AnnouncementReceiver(rows, enrolment)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        await asyncio.sleep(0)
        yield made
        task.cancel()


def body(announcement: Announcement) -> bytes:
    return announcement.model_dump_json(exclude_none=True).encode()


async def genuine(rows: Database, port: int, ip: str | None = None, **members: Any) -> bytes:
    made = await invite(rows, **members)
    return body(announce(read_invitation(made.code), new_nonce(), port, ip))


async def test_a_genuine_announcement_is_accepted_at_the_senders_address(
    announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    answer = await announcements.announce(await genuine(rows, block.port(1)), "127.0.0.5")
    assert (answer.status, answer.body) == (202, b'{"ip":"127.0.0.5"}')


async def test_a_false_announcement_is_refused_in_constant_words_and_bounded(
    announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    good = Announcement.model_validate_json(await genuine(rows, block.port(1)))
    wrong_mac = body(good.model_copy(update={"mac": "0" * 64}))
    unknown = body(good.model_copy(update={"invitation": 4711}))
    refused = [await announcements.announce(each, "192.0.2.1") for each in (b"junk", wrong_mac, unknown)]
    assert {(answer.status, answer.body) for answer in refused} == {(403, b"refused\n")}
    for _ in range(REFUSALS_PER_MINUTE):
        last = await announcements.announce(wrong_mac, "192.0.2.1")
    assert (last.status, last.body) == (429, b"refused\n")
    assert dict(last.headers)[b"retry-after"]
    assert (await announcements.announce(body(good), "192.0.2.1")).status == 202


async def test_a_flood_of_false_announcements_holds_up_no_genuine_one(
    announcements: AnnouncementReceiver, rows: Database, enrolment: Enrolment, tmp_path: Path, block: PortBlock
):
    made = await invite(rows)
    async with listening(rows, enrolment) as url:
        node = invited_node(tmp_path, 1, made.code, url, block.port(1))
        host, port = url.removeprefix("http://").split(":")
        junk = b'POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"v": 1 }'
        async with asyncio.TaskGroup() as group:
            flood = [group.create_task(flooding(host, int(port), junk)) for _ in range(20)]
            async with running(node):
                await until(lambda: node.is_in)
            for task in flood:
                task.cancel()


async def flooding(host: str, port: int, request: bytes) -> None:
    while True:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for _ in range(50):
                writer.write(request)
                await reader.readuntil(b"refused\n")
        finally:
            writer.transport.abort()


async def test_a_captured_announcement_leads_nowhere_from_another_address(
    announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    captured = await genuine(rows, block.port(1))
    await announcements.announce(captured, "127.0.0.5")
    copy = await announcements.announce(captured, "127.0.0.6")
    assert copy.status == 429
    assert (await announcements.announce(captured, "127.0.0.5")).status == 202


async def test_a_replayed_announcement_of_an_enrolled_node_makes_no_second_one(
    rows: Database, enrolment: Enrolment, tmp_path: Path, block: PortBlock
):
    made = await invite(rows, uses=2)
    async with recording(rows, enrolment) as (url, heard):
        node = invited_node(tmp_path, 1, made.code, url, block.port(1))
        async with running(node):
            await until(lambda: node.is_in)
    again = AnnouncementReceiver(rows, enrolment)
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(again.run())
            await asyncio.sleep(0)
            assert (await again.announce(heard[0], "127.0.0.9")).status == 202
            await until(lambda: any(line["event"] in ("node.not_enrolled", "node.enrolled") for line in logs))
            task.cancel()
    assert [line["event"] for line in logs if line["event"].startswith("node.")][-1] == "node.not_enrolled"
    assert (await invitation(rows, made.id)).used == 1


@asynccontextmanager
async def recording(rows: Database, enrolment: Enrolment) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A listener for announcements; its URL, and the bodies that it heard."""
    heard: list[bytes] = []
    receive = AnnouncementReceiver.announce

    async def remembered(announcements: AnnouncementReceiver, body: bytes, address: str) -> Any:
        heard.append(body)
        return await receive(announcements, body, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnnouncementReceiver, "announce", remembered)
        async with listening(rows, enrolment) as url:
            yield url, heard


async def test_a_node_refuses_a_configuration_that_was_passed_on_from_another_address(
    rows: Database, enrolment: Enrolment, tmp_path: Path, block: PortBlock
):
    """Somebody repeats an announcement faster than the node, from his own address, and passes the handshake on."""
    made = await invite(rows)
    thief, receive = AnnouncementReceiver(rows, enrolment), AnnouncementReceiver.announce
    relay = await asyncio.start_server(passing_to("127.0.0.2", block.port(1)), "127.0.0.66", block.port(1))

    async def overtaken(announcements: AnnouncementReceiver, body: bytes, address: str) -> Any:
        await receive(thief, body, "127.0.0.66")
        await until(lambda: is_noticed(logs))
        return await receive(announcements, body, address)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(thief.run())
        with capture_logs() as logs:
            async with listening(rows, enrolment) as url:
                node = invited_node(tmp_path, 1, made.code, url, block.port(1))
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(AnnouncementReceiver, "announce", overtaken)
                    async with running(node):
                        await until(lambda: is_noticed(logs))
                        patch.undo()
                        await until(lambda: node.is_in)
        task.cancel()
    relay.close()
    assert node.identities[0].config.ip == "127.0.0.2"
    assert (await invitation(rows, made.id)).used == 1


def is_noticed(logs: list[Any]) -> bool:
    return any(line["event"] == "enrolment.other_address" for line in logs)


def passing_to(host: str, port: int) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(copy(reader, back))
            group.create_task(copy(there, writer))

    return serve


async def test_the_master_calls_no_address_that_no_node_can_have(
    announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    answer = await announcements.announce(await genuine(rows, block.port(1), "169.254.169.254"), "127.0.0.5")
    assert answer.status == 422
    assert b"link-local" in answer.body


async def test_the_master_calls_no_private_address_for_a_public_sender(
    announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    answer = await announcements.announce(await genuine(rows, block.port(1), "127.0.0.1"), "198.51.100.7")
    assert answer.status == 422
    assert b"private address" in answer.body


@pytest.mark.parametrize("sender", ["", "unix", "fe80::1%eth0", "169.254.169.254", "x" * 10_000])
async def test_a_sender_that_is_no_address_of_a_node_is_refused(
    sender: str, announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    assert (await announcements.announce(await genuine(rows, block.port(1)), sender)).status == 403


async def test_handshakes_of_one_sender_are_bounded(
    announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    made = read_invitation((await invite(rows, uses=100)).code)
    with closing(bound_socket("127.0.0.1", block.port(1))) as silent:
        silent.listen()
        bodies = [body(announce(made, new_nonce(), block.port(1))) for _ in range(HANDSHAKES_PER_SENDER + 3)]
        statuses = [(await announcements.announce(each, "127.0.0.1")).status for each in bodies]
    assert statuses == [202] * HANDSHAKES_PER_SENDER + [429] * 3


async def test_a_removed_invitation_is_told_only_to_nodes_that_have_its_code(
    announcements: AnnouncementReceiver, rows: Database, block: PortBlock
):
    made = await invite(rows)
    good = announce(read_invitation(made.code), new_nonce(), block.port(1))
    await remove(rows, made.id)
    assert (await announcements.announce(body(good), "127.0.0.1")).status == 410
    wrong = body(good.model_copy(update={"mac": "0" * 64}))
    assert (await announcements.announce(wrong, "127.0.0.1")).status == 403
