"""The master's side of moving the broker: two brokers at once, until every node has moved."""

from typing import Any

from master.doctor.examination import findings
from tests.master.broker_moves import Node, bare, make_node, master, nodes, settings_for
from tests.services.ports import PortBlock
from tests.services.postgres import Database as Address
from tests.services.rabbitmq import RabbitMQ, Vhost

ONE_OF_TWO = {"total": 2, "moved": 1, "trial": 0, "failed": 0}


def wanted(vhost: Vhost) -> dict[str, Any]:
    """The body that moves the broker to this virtual host."""
    return {"amqp_urls": [vhost.amqp_url], "management_urls": [vhost.management_url]}


def encrypted(vhost: Vhost) -> dict[str, Any]:
    """The body that turns TLS on at this virtual host."""
    assert vhost.tls
    return {"amqp_urls": [vhost.amqps_url], "management_urls": [vhost.tls.management_url], "ca": vhost.tls.pem}


def has_moved(count: int) -> Any:
    return lambda shown: shown["move"]["nodes"]["moved"] == count


async def test_nodes_follow_the_broker_to_another_place_and_the_former_one_is_left(
    database: Address, vhost: Vhost, rabbitmq: RabbitMQ, block: PortBlock
):
    other = await rabbitmq.create(f"{vhost.name}-b")
    for _ in range(3):
        await make_node(database)
    async with (
        master(database, settings_for(database, vhost, block.port(1))) as masters,
        nodes(database, 3, vhost, masters) as fleet,
    ):
        shown = await masters.call("POST", "/system/broker", 202, json=wanted(other))
        assert (shown["link"]["rev"], shown["move"]["link"]["rev"]) == (0, 1)
        assert vhost.password not in str(shown)
        await masters.until(has_moved(3))
        assert [node.url for node in fleet] == [bare(other)] * 3
        config = await fleet[0].gets("config", at=0)
        assert config == {"rev": 1, "amqp_urls": [bare(other)]}
        assert await fleet[0].gets("config-ok", at=1) == {"rev": 1}
        await check_that_lists_follow(masters, fleet[0], at=1)
        await masters.call("POST", "/system/broker/finish", 200, json={})
        shown = await masters.until(lambda shown: shown["left"]["state"] == "closed")
        assert (shown["link"]["rev"], shown["move"], shown["left"]["left_over"]) == (1, None, None)
        assert "AMQP_URL" in [each["name"] for each in shown["outdated_settings"]]
        node = await masters.call("GET", "/nodes/1", 200)
        assert node["broker"] == {"rev": 1, "url": bare(other), "state": "moved", "reason": None}
        types = [type_ for type_, _ in await masters.events()]
        assert types.count("node.broker_moved") == 3
        assert [type_ for type_ in types if type_.startswith("broker.")] == [
            "broker.move_started",
            "broker.move_finished",
        ]
        async with vhost.management() as api:
            queues = (await api.get(f"queues/{vhost.name}")).json()
            assert [queue["name"] for queue in queues if queue["name"].startswith("mp.node.")] == []
        found = await findings(settings_for(database, vhost, block.port(1)))
        assert [str(each) for each in found if each.level == "problem" and "broker" in each.check] == []
        assert "the settings name another place" in next(str(each) for each in found if each.check == "broker link")
    await rabbitmq.drop(other.name)


async def test_tls_is_turned_on_at_the_same_broker_and_a_node_that_fails_is_named(
    database: Address, vhost: Vhost, block: PortBlock
):
    for _ in range(2):
        await make_node(database)
    async with (
        master(database, settings_for(database, vhost, block.port(1))) as masters,
        nodes(database, 2, vhost, masters) as (follower, stubborn),
    ):
        stubborn.stubborn = "no connection within 30 s"
        await masters.call("POST", "/system/broker", 202, json=encrypted(vhost))
        shown = await masters.until(lambda shown: shown["move"]["nodes"] == {**ONE_OF_TWO, "failed": 1})
        assert [(each["name"], each["state"], each["reason"]) for each in shown["move"]["missing"]] == [
            ("node-2", "failed", stubborn.stubborn)
        ]
        assert follower.url == vhost.broker.bare_urls[0]
        await check_that_lists_follow(masters, follower, at=1)
        await check_that_lists_follow(masters, stubborn, at=0)
        refused = await masters.call("POST", "/system/broker/finish", 409)
        assert (refused["type"], refused["nodes"]) == ("/problems/nodes-not-moved", ["node-2"])
        await masters.call("POST", "/system/broker/finish", 200, json={"force": ["node-2"]})
        await masters.until(lambda shown: shown["left"]["state"] == "closed")
        await check_that_lists_follow(masters, follower, at=1)
        async with vhost.management() as api:
            users = {user["name"] for user in (await api.get("users")).json()}
        assert {"node-1", "node-2"} <= users
        failed = [details for type_, details in await masters.events() if type_ == "node.broker_move_failed"]
        assert [each["reason"] for each in failed] == [stubborn.stubborn]


async def test_nobody_moves_before_every_master_is_at_both_and_an_aborted_move_brings_the_nodes_back(
    database: Address, vhost: Vhost, rabbitmq: RabbitMQ, block: PortBlock
):
    other = await rabbitmq.create(f"{vhost.name}-b")
    await make_node(database)
    async with (
        master(database, settings_for(database, vhost, block.port(1))) as masters,
        nodes(database, 1, vhost, masters) as (node,),
    ):
        await masters.row("INSERT INTO masters VALUES ('peer', 'far', '1', now(), now() + interval '1 hour', '{0}')")
        await masters.call("POST", "/system/broker", 202, json=wanted(other))
        shown = await masters.until(lambda shown: [each["is_up"] for each in shown["move"]["masters"]] == [True, False])
        refused = await masters.call("POST", "/system/broker/finish", 409, json={"force": ["node-1"]})
        assert (shown["move"]["state"], refused["masters"], node.rev) == ("opening", ["far"], 0)
        assert (await masters.call("POST", "/system/broker", 409, json=wanted(other)))["rev"] == 1
        await masters.row("UPDATE masters SET broker_revs = '{0,1}' WHERE id = 'peer'")
        await masters.until(has_moved(1))
        await masters.row("DELETE FROM masters WHERE id = 'peer'")
        shown = await masters.call("POST", "/system/broker/abort", 200)
        assert (shown["link"]["rev"], shown["move"]["link"]["rev"]) == (1, 2)
        await masters.until(has_moved(1))
        assert (node.rev, node.url) == (2, bare(vhost))
        await masters.call("POST", "/system/broker/finish", 200)
        shown = await masters.until(lambda shown: shown["left"]["state"] == "closed")
        assert (shown["link"]["rev"], shown["link"]["amqp_urls"], shown["left"]["rev"]) == (2, [bare(vhost)], 1)
        await check_that_lists_follow(masters, node, at=2)
    await rabbitmq.drop(other.name)


async def check_that_lists_follow(masters: Any, node: Node, *, at: int) -> None:
    """A change reaches the node where it is."""
    node.got.clear()
    await masters.call("POST", "/proxies", 201, json={"node_ids": [node.id]})
    assert await node.gets("check-sync", at=at)
