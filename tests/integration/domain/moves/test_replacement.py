"""A waiting box takes a node over: over real sockets, database and broker, and whatever gets lost on the way."""

from contextlib import suppress
from typing import Any

import pytest
from aiormq.exceptions import AMQPError

from master.broker import Broker
from master.db.database import Database
from master.domain.nodes.enrolment.service import Enrolment
from master.errors import BrokerAway, ChallengeUsed, EngineMissing, ExitsUsed, NodeRefused, NodeUnreachable, PortTaken
from shared.enrolment.challenge import new_challenge
from shared.proxies import NodeId
from tests.integration.bus.test_reports import report, reports, take
from tests.integration.conftest import Api
from tests.integration.enrolment.test_enrolment_wire import losing_answers_to
from tests.master.waiting_node import WaitingNode, waiting_node
from tests.services.ports import HOST, PortBlock
from tests.services.postgres import Database as Address
from tests.services.vhosts import connected_as

__all__ = ["reports"]


@pytest.fixture
async def old(enrolment: Enrolment, tmp_path: Any, block: PortBlock, database: Address) -> WaitingNode:
    """Node 1, which has reported as 5, 7."""
    async with waiting_node(tmp_path / "old", block.port(2)) as made:
        await enrolment.enrol(HOST, made.port, made.challenge, None, None, {})
    async with database.connection() as rows:
        await rows.execute("UPDATE node_status SET online = true, session = 5, number = 7, rev = 1, confirmed_rev = 1")
    return made


async def logs_in(box: WaitingNode) -> bool:
    with suppress(AMQPError):
        connection = await connected_as(box.accepted[-1].config)
        await connection.close()
        return True
    return False


async def replace(enrolment: Enrolment, box: WaitingNode, *, port: int | None = None) -> None:
    await enrolment.replace(NodeId(1), HOST, port or box.port, box.challenge)


async def test_the_new_box_is_the_node_and_the_old_ones_login_is_refused(
    api: Api, enrolment: Enrolment, old: WaitingNode, node: WaitingNode
):
    before = await api.call("GET", "/nodes/1", 200)
    proxy = await api.proxy(1)
    await replace(enrolment, node)
    config = node.accepted[0].config
    assert (config.node_id, config.name) == (1, before["name"])
    assert [await logs_in(old), await logs_in(node)] == [False, True]
    after = await api.call("GET", "/nodes/1", 200)
    assert (after["status"]["state"], after["status"]["rev"], after["revision"] > before["revision"]) == (
        "never_reported",
        0,
        True,
    )
    now = await api.call("GET", f"/proxies/{proxy['id']}", 200)
    same = ("id", "port", "username", "password", "version")
    assert {name: now[name] for name in same} == {name: proxy[name] for name in same}
    assert now["status"]["reason"] == "node 1 has not reported yet"
    assert (await api.event_types()).count("node.replaced") == 1


async def test_the_old_boxs_open_connections_are_cut(enrolment: Enrolment, old: WaitingNode, node: WaitingNode):
    connection = await connected_as(old.accepted[0].config)
    await replace(enrolment, node)
    assert connection.is_closed or await ended(connection)


async def ended(connection: Any) -> bool:
    """Whether the broker has closed it."""
    with suppress(Exception):
        await connection.channel()
        return False
    return True


async def test_the_same_challenge_again_is_the_same_answer(
    api: Api, enrolment: Enrolment, old: WaitingNode, node: WaitingNode
):
    for _ in range(2):
        await replace(enrolment, node)
    assert await logs_in(node)
    await api.rows.execute("UPDATE node_status SET session = 1")
    await replace(enrolment, node, port=1)
    assert (await api.event_types()).count("node.replaced") == 1


@pytest.mark.parametrize("path", [b"/enrol/hello", b"/enrol/config"])
async def test_an_answer_that_gets_lost_leaves_the_old_box_at_work_and_the_same_call_goes_on(
    enrolment: Enrolment, old: WaitingNode, node: WaitingNode, block: PortBlock, path: bytes
):
    async with losing_answers_to(path, node.port, block.port(3)):
        with pytest.raises(NodeUnreachable):
            await replace(enrolment, node, port=block.port(3))
    assert await logs_in(old)
    await replace(enrolment, node)
    assert [await logs_in(old), await logs_in(node)] == [False, True]


async def test_a_wrong_challenge_changes_nothing(enrolment: Enrolment, old: WaitingNode, node: WaitingNode):
    with pytest.raises(NodeRefused):
        await enrolment.replace(NodeId(1), HOST, node.port, new_challenge())
    assert (await logs_in(old), node.accepted) == (True, [])


async def test_a_broker_that_is_away_leaves_the_old_box_at_work_and_the_same_call_goes_on(
    api: Api, enrolment: Enrolment, old: WaitingNode, node: WaitingNode, broker: Broker, monkeypatch: pytest.MonkeyPatch
):
    async def away(_: object) -> None:
        raise BrokerAway("gone")

    with monkeypatch.context() as patch:
        patch.setattr(broker, "delete_login", away)
        with pytest.raises(BrokerAway):
            await replace(enrolment, node)
    assert await logs_in(old)
    assert (await api.call("GET", "/nodes/1", 200))["status"]["state"] == "online"
    await replace(enrolment, node)
    assert await logs_in(node)


@pytest.mark.parametrize("ends_after", ["delete_login", "take_over"])
async def test_masters_mend_what_one_has_left_that_died_in_between(
    rows: Database,
    enrolment: Enrolment,
    old: WaitingNode,
    node: WaitingNode,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    ends_after: str,
):
    class Died(Exception):
        pass

    async def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        if ends_after == "delete_login":
            patch.setattr("master.domain.nodes.replacement.take_over", dies)
        else:
            patch.setattr(broker, "ensure_node", dies)
        with pytest.raises(Died):
            await replace(enrolment, node)
    async with rows.session() as session:
        logins = {NodeId(row["id"]): row["broker_password_hash"] for row in await session.rows("sync.select_logins")}
    assert await broker.repair_logins(logins) == [1]
    assert [await logs_in(old), await logs_in(node)] == [ends_after == "delete_login", ends_after == "take_over"]
    await replace(enrolment, node)
    assert [await logs_in(old), await logs_in(node)] == [False, True]


async def test_a_login_with_another_password_than_the_database_knows_is_made_anew(
    rows: Database, enrolment: Enrolment, old: WaitingNode, broker: Broker
):
    async with rows.session() as session:
        hash_ = await session.value("nodes.select_login", node_id=1)
    await broker.ensure_node(NodeId(1), "AAAAAAAA")
    assert not await logs_in(old)
    assert await broker.repair_logins({NodeId(1): hash_}) == [1]
    assert await logs_in(old)
    assert await broker.repair_logins({NodeId(1): hash_}) == []


async def test_a_box_that_cannot_run_what_the_node_has_is_refused_and_nothing_is_done(
    api: Api, enrolment: Enrolment, old: WaitingNode, node: WaitingNode
):
    await api.rows.execute('UPDATE nodes SET engines = \'{"builtin": "1", "3proxy": "1"}\', addresses = \'{10.1.1.1}\'')
    special = await api.proxy(1, engine="3proxy")
    with pytest.raises(EngineMissing):
        await replace(enrolment, node)
    await api.call("DELETE", f"/proxies/{special['id']}", 204)
    exit_ = await api.proxy(1, exit={"mode": "address", "address": "10.1.1.1"})
    with pytest.raises(ExitsUsed):
        await replace(enrolment, node)
    await api.call("DELETE", f"/proxies/{exit_['id']}", 204)
    neighbour = await api.node(ip=HOST)
    await api.call("PATCH", "/nodes/1", 200, json={"ip": "10.7.7.7"})
    for node_id in (1, neighbour):
        await api.proxy(node_id, port=20_005)
    with pytest.raises(PortTaken):
        await replace(enrolment, node)
    assert (await logs_in(old), node.accepted) == (True, [])
    assert "node.replaced" not in await api.event_types()


async def test_a_challenge_of_another_node_is_refused(enrolment: Enrolment, old: WaitingNode, node: WaitingNode):
    await enrolment.enrol(HOST, node.port, node.challenge, None, None, {})
    with pytest.raises(ChallengeUsed, match="its host is node 2"):
        await replace(enrolment, node)


async def test_what_is_still_on_its_way_from_the_old_box_says_nothing_of_the_new_one(
    api: Api, enrolment: Enrolment, old: WaitingNode, node: WaitingNode, reports: Any
):
    await replace(enrolment, node)
    await take(reports, NodeId(1), report(session=5, number=8, running=9))
    assert (await api.call("GET", "/nodes/1", 200))["status"]["state"] == "never_reported"
    await take(reports, NodeId(1), report(session=3, number=1, running=1))
    for number in (9, 10, 11):
        await take(reports, NodeId(1), report(session=5, number=number, running=9))
    status = (await api.call("GET", "/nodes/1", 200))["status"]
    assert (status["state"], status["running"]) == ("online", 1)
    assert "node.cloned" not in await api.event_types()


async def test_random_exits_are_drawn_anew_on_a_box_that_does_not_know_what_was_drawn(
    api: Api, enrolment: Enrolment, old: WaitingNode, node: WaitingNode
):
    await api.call("PATCH", "/nodes/1", 200, json={"exits": {"ipv6_prefixes": ["2001:db8:1::/64"]}})
    proxy = await api.proxy(1, exit={"mode": "ipv6_random"})
    key = "SELECT exit ->> 'key' FROM desired_proxies"
    before = await api.rows.fetchval(key)
    await replace(enrolment, node)
    assert await api.rows.fetchval(key) != before
    assert (await api.call("GET", f"/proxies/{proxy['id']}", 200))["version"] == 2


async def test_a_replacement_is_asked_for_by_the_api(api: Api):
    node = await api.node()
    body = {"ip": "::ffff:10.1.2.3", "challenge": new_challenge()}
    assert (await api.call("POST", f"/nodes/{node}/replace", 200, json=body))["id"] == node
    assert api.enroller.asked == [{"node_id": node, "ip": "10.1.2.3", "port": 3006}]
    await api.call("POST", f"/nodes/{node}/replace", 422, json={"ip": "10.1.2.3", "challenge": "AAAA"})
    api.enroller.error = NodeRefused("no", {"ip": "10.0.0.9", "port": 3006})
    await api.call("POST", f"/nodes/{node}/replace", 403, json=body)
