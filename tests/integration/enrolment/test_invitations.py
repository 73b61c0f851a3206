"""Nodes that enrol themselves by an invitation: real nodes' and masters' sides, sockets, database and broker."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from master.db.constraints import writing
from master.db.database import Database
from master.domain.locations import service as locations
from master.domain.locations.schemas import NewLocation
from master.domain.nodes.enrolment.service import Enrolment
from master.errors import StillUsed
from master.schemas.timestamps import rfc_3339
from shared.enrolment.challenge import invitation_code, new_challenge
from tests.master.inviting import InvitedNode, invitation, invite, invited_node, listening, remove, running, until
from tests.services.ports import PortBlock


def many(folder: Path, count: int, code: str, url: str, port: int) -> list[InvitedNode]:
    return [invited_node(folder, number, code, url, port) for number in range(1, count + 1)]


def closed(logs: list[dict[str, str]]) -> list[str]:
    return [line["reason"] for line in logs if line["event"] == "invitation.refused"]


async def details(rows: Database, node_id: int) -> dict[str, object]:
    async with rows.session() as session:
        row = await session.row("nodes.select_one", id=node_id)
    assert row is not None
    return dict(row)


async def test_a_node_enrols_itself_with_all_that_the_invitation_gives_it(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock
):
    made = await invite(
        rows,
        labels={"rack": "12"},
        limits={"max_proxies": 7, "ports": "30000-30009"},
        exits={"ipv6_prefixes": ["2001:db8:1::/64"]},
        name_prefix="fra",
    )
    async with listening(rows, enrolment) as url:
        node = invited_node(tmp_path, 1, made.code, url, block.port(1))
        async with running(node):
            await until(lambda: node.is_in)
    config = node.identities[0].config
    row = await details(rows, config.node_id)
    assert (row["ip"], config.ip) == ("127.0.0.2", "127.0.0.2")
    assert row["labels"] == {"rack": "12"}
    assert (row["max_proxies"], row["port_from"], row["port_to"]) == (7, 30000, 30009)
    assert row["ipv6_prefixes"] == ["2001:db8:1::/64"]
    assert config.name.startswith("fra-")
    used = await invitation(rows, made.id)
    assert (used.state, used.used, used.node_ids, used.last_error) == ("used_up", 1, [config.node_id], None)


async def test_of_eight_nodes_with_an_invitation_for_five_exactly_five_are_enrolled(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock
):
    made = await invite(rows, uses=5)
    with capture_logs() as logs:
        async with listening(rows, enrolment) as one, listening(rows, enrolment) as other:
            nodes = many(tmp_path, 4, made.code, one, block.port(1))
            nodes += [invited_node(tmp_path, number, made.code, other, block.port(1)) for number in range(5, 9)]
            async with running(*nodes):
                await until(lambda: sum(node.is_in for node in nodes) == 5)
                refused = [node for node in nodes if not node.is_in]
                await until(lambda: len(closed(logs)) >= 3)
    assert len({node.identities[0].config.node_id for node in nodes if node.is_in}) == 5
    assert [node.is_in for node in refused] == [False, False, False]
    assert set(closed(logs)) == {"the invitation has enrolled as many nodes as it may"}
    used = await invitation(rows, made.id)
    assert (used.used, len(used.node_ids)) == (5, 5)


@pytest.mark.parametrize("reason", ["expired", "removed"])
async def test_a_closed_invitation_is_refused_with_its_reason_and_the_node_goes_on_waiting(
    reason: str,
    enrolment: Enrolment,
    rows: Database,
    tmp_path: Path,
    block: PortBlock,
    capsys: pytest.CaptureFixture[str],
):
    made = await invite(rows)
    if reason == "removed":
        await remove(rows, made.id)
    else:
        await expire(rows, made.id)
    with capture_logs() as logs:
        async with listening(rows, enrolment) as url:
            node = invited_node(tmp_path, 1, made.code, url, block.port(1))
            async with running(node):
                await until(lambda: len(closed(logs)) >= 2)
    assert reason in closed(logs)[0]
    assert not node.is_in
    assert capsys.readouterr().out.count("This node is waiting to be enrolled") == 1


async def expire(rows: Database, id_: int) -> None:
    async with rows.session() as session:
        await session._connection.execute("UPDATE invitations SET expires_at = now() WHERE id = $1", id_)


async def test_a_wrong_secret_is_refused_without_saying_why(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock
):
    made = await invite(rows)
    wrong = invitation_code(made.id, new_challenge())
    with capture_logs() as logs:
        async with listening(rows, enrolment) as url:
            node = invited_node(tmp_path, 1, wrong, url, block.port(1))
            async with running(node):
                await until(lambda: bool(closed(logs)))
    assert closed(logs)[0] == "the master does not know this invitation, or its code is wrong"
    assert not [line for line in logs if wrong[5:] in str(line)]


async def test_a_node_waits_for_a_master_that_is_down(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock
):
    made = await invite(rows)
    with capture_logs() as logs:
        node = invited_node(tmp_path, 1, made.code, f"http://127.0.0.1:{block.port(2)}", block.port(1))
        async with running(node):
            await until(lambda: bool([line for line in logs if line["event"] == "invitation.not_announced"]))
            async with listening(rows, enrolment, block.port(2)):
                await until(lambda: node.is_in)


async def test_a_master_that_ends_after_it_made_the_node_costs_no_second_use(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock, monkeypatch: pytest.MonkeyPatch
):
    made = await invite(rows)
    reached = asyncio.Event()

    async def never(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    node = invited_node(tmp_path, 1, made.code, f"http://127.0.0.1:{block.port(2)}", block.port(1))
    async with running(node):
        with monkeypatch.context() as killed:
            killed.setattr(enrolment._client, "configure", never)
            async with listening(rows, enrolment, block.port(2)):
                await reached.wait()
        async with listening(rows, enrolment, block.port(2)):
            await until(lambda: node.is_in)
    assert (await invitation(rows, made.id)).used == 1


async def test_a_node_that_ends_while_it_is_enrolled_is_known_again(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock, monkeypatch: pytest.MonkeyPatch
):
    made = await invite(rows)
    reached = asyncio.Event()

    async def never(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    node = invited_node(tmp_path, 1, made.code, f"http://127.0.0.1:{block.port(2)}", block.port(1))
    with monkeypatch.context() as killed:
        killed.setattr(enrolment._client, "configure", never)
        async with running(node), listening(rows, enrolment, block.port(2)):
            await reached.wait()
    async with running(node), listening(rows, enrolment, block.port(2)):
        await until(lambda: node.is_in)
    assert not (node.data / "invitation.json").exists()
    assert (await invitation(rows, made.id)).used == 1


async def test_a_node_whose_login_another_master_replaced_announces_itself_again(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock
):
    made = await invite(rows)
    async with listening(rows, enrolment) as url:
        node = invited_node(tmp_path, 1, made.code, url, block.port(1))
        node.logs_in = False
        async with running(node):
            await until(lambda: len(node.identities) == 1)
            node.logs_in = True
            await until(lambda: len(node.identities) == 2)
    first, second = (identity.config for identity in node.identities)
    assert first.node_id == second.node_id
    assert first.amqp_urls != second.amqp_urls
    assert (await invitation(rows, made.id)).used == 1


async def test_a_node_that_cannot_be_reached_is_shown_on_its_invitation(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock
):
    made = await invite(rows)
    async with listening(rows, enrolment) as url:
        node = invited_node(tmp_path, 1, made.code, url, block.port(1), NODE_ANNOUNCE_IP="127.0.0.99")
        async with running(node):
            async with asyncio.timeout(20):
                while (error := (await invitation(rows, made.id)).last_error) is None:
                    await asyncio.sleep(0.05)
    assert f"127.0.0.99:{block.port(1)}" in error


async def test_a_node_may_name_another_address_at_which_it_is_called(
    enrolment: Enrolment, rows: Database, tmp_path: Path, block: PortBlock
):
    made = await invite(rows)
    async with listening(rows, enrolment) as url:
        node = invited_node(
            tmp_path, 1, made.code, url, block.port(1), NODE_ENROL_HOST="0.0.0.0", NODE_ANNOUNCE_IP="127.0.0.77"
        )
        async with running(node):
            await until(lambda: node.is_in)
    assert node.identities[0].config.ip == "127.0.0.77"


async def test_a_location_with_an_invitation_cannot_be_removed(rows: Database):
    async with rows.transaction() as session:
        place = await locations.create(session, NewLocation(name="here"))
    made = await invite(rows, location_id=place.id, expires_at=rfc_3339(datetime.now(UTC) + timedelta(days=1)))
    with pytest.raises(StillUsed, match="invitation"):
        async with writing(rows) as session:
            await locations.remove(session, place.id)
    await remove(rows, made.id)
    async with writing(rows) as session:
        await locations.remove(session, place.id)
