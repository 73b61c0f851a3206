"""What the product is for, end to end: real programs, the real challenge, real clients."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import eventually, made, shown
from tests.cluster import Cluster, succeeded
from tests.traffic import Client, Refused, accepts
from tests.trial import ensure_location, try_out


async def test_a_proxy_made_through_the_api_is_used_by_curl_and_refuses_a_wrong_password(bare: Cluster):
    location = await ensure_location(bare)
    await bare.node(location_id=location)
    proxies = await try_out(bare, location, lambda _: None)
    assert [proxy["protocol"] for proxy in proxies] == ["http", "socks5", "mixed"]


async def test_a_round_can_be_followed_in_readable_messages_by_its_correlation_id(fleet: Cluster):
    async with fleet.vhost.management() as broker:
        vhost = fleet.vhost.name
        (await broker.put(f"queues/{vhost}/watch", json={"durable": False})).raise_for_status()
        for exchange, key in (("mp.node", "1"), ("mp.node", "2"), ("mp.master", "#")):
            path = f"bindings/{vhost}/e/{exchange}/q/watch"
            (await broker.post(path, json={"routing_key": key})).raise_for_status()
        proxy = await made(fleet)
        check, need, sync, report = await watched_round(broker, vhost)
    assert [proxy["id"], proxy["version"]] in check["body"]
    assert need["body"] == [proxy["id"]]
    assert sync["body"][0]["port"] == proxy["port"]
    for message in (check, need, sync, report):
        assert message["headers"]["v"] == 1
        assert message["headers"]["node"] == proxy["node_id"]
        assert message["headers"]["rev"] >= 1
        assert message["content_type"] == "application/json"
    assert {need["user_id"], report["user_id"]} == {f"node-{proxy['node_id']}"}


async def watched_round(broker: httpx.AsyncClient, vhost: str) -> list[dict[str, Any]]:
    """The first messages that share a correlation id and are one of each type."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    types = ["check-sync", "need-sync", "sync", "report"]

    async def whole() -> bool:
        asked = {"count": 200, "ackmode": "ack_requeue_false", "encoding": "auto"}
        for message in (await broker.post(f"queues/{vhost}/watch/get", json=asked)).json():
            properties = message["properties"]
            shown = {**properties, "body": json.loads(message["payload"])}
            found.setdefault(properties["correlation_id"], {}).setdefault(properties["type"], shown)
        return any(list(messages) == types for messages in found.values())

    await eventually(whole, 10)
    return next([*messages.values()] for messages in found.values() if list(messages) == types)


async def test_the_agent_can_be_killed_without_a_byte_lost_and_finds_its_proxies_again(fleet: Cluster, client: Client):
    proxy = await made(fleet)
    open_one = await client.tunnel(proxy)
    name = f"node-{node_number(fleet, proxy)}"
    await fleet.kill(name)
    await open_one.beat()
    await client.use(proxy)
    await fleet.start(name)
    await eventually(lambda: logged(fleet, name, "proxy.adopted"), 10)
    await open_one.beat()
    changed = await fleet.api.patch(
        f"/proxies/{proxy['id']}", json={"labels": {"a": "b"}}, headers={"Prefer": "wait=10"}
    )
    assert (changed.status_code, changed.json()["status"]["state"]) == (200, "running")
    await open_one.beat()
    assert not await logged(fleet, name, '"event": "proxy.died"')


def node_number(fleet: Cluster, proxy: dict[str, Any]) -> int:
    return next(number for number, node in enumerate(fleet.nodes.values(), 1) if node.id == proxy["node_id"])


async def logged(fleet: Cluster, name: str, text: str) -> bool:
    return text in fleet.programs[name].log.read_text()


async def test_master_broker_and_database_can_be_killed_and_everything_heals_by_itself(fleet: Cluster, client: Client):
    proxy, other = await made(fleet), await made(fleet)
    open_one = await client.tunnel(proxy)
    for who in ("master", "rabbitmq", "postgres"):
        await fleet.kill(who)
    await open_one.beat()
    await client.use(other)
    async with asyncio.TaskGroup() as group:
        for who in ("postgres", "rabbitmq"):
            group.create_task(fleet.start(who))
    await fleet.start("master")
    await eventually(lambda: both_online(fleet), 45)
    await open_one.beat()
    another = await made(fleet)
    await client.use(another)
    await open_one.beat()


async def both_online(fleet: Cluster) -> bool:
    nodes = succeeded(await fleet.api.get("/nodes")).json()["items"]
    return all(node["status"]["state"] == "online" for node in nodes) and len(nodes) == 2


async def test_a_deleted_proxys_connections_are_closed_within_a_second_and_others_are_left_alone(
    fleet: Cluster, client: Client
):
    doomed, other = await made(fleet, node_ids=[1]), await made(fleet, node_ids=[1])
    cut, kept = await client.tunnel(doomed), await client.tunnel(other)
    await cut.beat()
    answer = await fleet.api.delete(f"/proxies/{doomed['id']}", headers={"Prefer": "wait=10"})
    assert answer.status_code == 204
    assert await cut.ended(within_s=1)
    await kept.beat()
    assert not await accepts(doomed)


async def test_changed_credentials_close_only_the_connections_that_used_the_old_ones(fleet: Cluster, client: Client):
    proxy, other = await made(fleet, node_ids=[1]), await made(fleet, node_ids=[1])
    cut, kept = await client.tunnel(proxy), await client.tunnel(other)
    answer = await fleet.api.patch(
        f"/proxies/{proxy['id']}", json={"password": "another-one-1"}, headers={"Prefer": "wait=10"}
    )
    assert answer.json()["status"]["state"] == "running"
    assert await cut.ended(within_s=1)
    await kept.beat()
    with pytest.raises(Refused, match="407"):
        await client.tunnel(proxy)
    await client.use(answer.json())


async def test_a_port_taken_by_a_stranger_fails_that_proxy_alone_and_it_runs_once_the_port_is_free(
    fleet: Cluster, client: Client
):
    node = next(node for node in fleet.nodes.values() if node.id == 1)
    port = node.ports.port(50)
    stranger = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
    answer = await fleet.api.post("/proxies", json={"node_ids": [1], "port": port}, headers={"Prefer": "wait=10"})
    failed = answer.json()
    assert (answer.status_code, failed["status"]["state"]) == (201, "failed")
    assert str(port) in failed["status"]["reason"]
    await client.use(await made(fleet, node_ids=[1]))
    stranger.close()
    await stranger.wait_closed()
    await eventually(lambda: is_in(fleet, failed, "running"), 30)
    await client.use(failed)


async def is_in(fleet: Cluster, proxy: dict[str, Any], state: str) -> bool:
    return (await shown(fleet, proxy))["status"]["state"] == state


async def test_a_proxy_that_did_not_ask_for_its_port_gets_another_when_a_stranger_has_it(
    fleet: Cluster, client: Client
):
    node = next(node for node in fleet.nodes.values() if node.id == 1)
    strangers = [
        await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", node.ports.port(place)) for place in (1, 2)
    ]
    answer = succeeded(await fleet.api.post("/proxies", json={"node_ids": [1]}))
    await eventually(lambda: is_in(fleet, answer.json(), "running"), 20)
    moved = await shown(fleet, answer.json())
    assert moved["port"] not in (node.ports.port(1), node.ports.port(2))
    await client.use(moved)
    for stranger in strangers:
        stranger.close()


async def test_a_host_that_reboots_alone_serves_its_proxies_again_within_two_seconds(fleet: Cluster, client: Client):
    proxy = await made(fleet)
    name = f"node-{node_number(fleet, proxy)}"
    for who in ("master", "rabbitmq", "postgres"):
        await fleet.kill(who)
    await fleet.halt(name)
    assert not await accepts(proxy)
    began = time.monotonic()
    await fleet.start(name)
    await eventually(lambda: accepts(proxy), 10)
    assert time.monotonic() - began < 6  # 2 s on a quiet machine; this one may be busy
    await client.use(proxy)


async def test_two_masters_changing_at_random_end_in_exactly_the_wanted_set(fleet: Cluster):
    second = await fleet.master()
    clients, dice, living = [fleet.api, second], random.Random(7), set[int]()

    async def create() -> None:
        answer = succeeded(await dice.choice(clients).post("/proxies", json={"location_id": 1}))
        living.add(answer.json()["id"])

    async def delete(id_: int) -> None:
        succeeded(await dice.choice(clients).delete(f"/proxies/{id_}"))

    for _ in range(20):
        doomed = set(dice.sample(sorted(living), min(len(living), dice.randint(5, 10))))
        living -= doomed
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(create())
            for id_ in doomed:
                group.create_task(delete(id_))
    proxies = await all_proxies(fleet)
    assert {proxy["id"] for proxy in proxies} == living
    await eventually(lambda: exactly(fleet, proxies), 20)


async def all_proxies(fleet: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = succeeded(
            await fleet.api.get("/proxies", params={"limit": 100, **({"after": after} if after else {})})
        ).json()
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


async def exactly(fleet: Cluster, proxies: list[dict[str, Any]]) -> bool:
    """Of all ports of the nodes, exactly those of these proxies accept connections."""
    wanted = {proxy["port"] for proxy in proxies}
    ports = [node.ports.port(place) for node in fleet.nodes.values() for place in range(1, 100)]
    open_ports = {port for port in ports if await accepts({"host": "127.0.0.1", "port": port})}
    assert open_ports == wanted, (len(open_ports - wanted), len(wanted - open_ports))
    return True


async def test_a_draining_node_takes_no_new_proxies_and_a_disabled_one_stops_its_own(fleet: Cluster, client: Client):
    proxy = await made(fleet, node_ids=[1])
    open_one = await client.tunnel(proxy)
    succeeded(await fleet.api.patch("/nodes/1", json={"state": "draining"}))
    refused = await fleet.api.post("/proxies", json={"node_ids": [1]})
    assert (refused.status_code, "draining" in refused.text) == (409, True)
    await open_one.beat()
    succeeded(await fleet.api.patch("/nodes/1", json={"state": "disabled"}))
    assert await open_one.ended(within_s=5)
    await eventually(lambda: is_in(fleet, proxy, "stopped"), 10)
    assert "disabled" in (await shown(fleet, proxy))["status"]["reason"]
    succeeded(await fleet.api.patch("/nodes/1", json={"state": "active"}))
    await eventually(lambda: is_in(fleet, proxy, "running"), 10)


async def test_rows_that_vanish_by_accident_do_not_stop_proxies_until_somebody_says_so(fleet: Cluster, client: Client):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(made(fleet, node_ids=[1])) for _ in range(20)]
    kept = await client.tunnel(tasks[0].result())
    async with fleet.database.connection() as database:
        await database.execute("DELETE FROM proxies")
    await eventually(lambda: has_event(fleet, "node.list_held"), 20)
    await kept.beat()
    node = succeeded(await fleet.api.get("/nodes/1")).json()
    assert node["status"]["held"]["stops"] == 20
    answer = await fleet.api.post("/nodes/1/sync", json={"confirm": True})
    assert answer.status_code == 202
    assert await kept.ended(within_s=5)


async def test_a_broker_that_lost_everything_is_set_up_again_by_itself(fleet: Cluster, client: Client):
    proxy = await made(fleet)
    kept = await client.tunnel(proxy)
    async with fleet.vhost.management() as broker:
        for node in (1, 2):
            (await broker.delete(f"users/node-{node}")).raise_for_status()
    await fleet.rabbitmq.drop(fleet.vhost.name)
    await fleet.rabbitmq.create(fleet.vhost.name)
    await kept.beat()
    answer = succeeded(await fleet.api.post("/proxies", json={"location_id": 1}))
    await eventually(lambda: is_in(fleet, answer.json(), "running"), 60)
    await kept.beat()


async def has_event(fleet: Cluster, type_: str) -> bool:
    return bool(succeeded(await fleet.api.get("/events", params={"type": type_})).json()["items"])


async def test_a_deliberate_mass_delete_is_done_at_once(fleet: Cluster):
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(made(fleet, node_ids=[1]))
    proxies = await all_proxies(fleet)
    answer = await fleet.api.request(
        "DELETE", "/proxies", params={"node_id": 1, "expect": 20}, headers={"Prefer": "wait=10"}
    )
    assert answer.status_code in (200, 204), answer.text
    await eventually(lambda: none_accept(proxies), 3)
    assert not await has_event(fleet, "node.list_held")


async def none_accept(proxies: list[dict[str, Any]]) -> bool:
    return not any([await accepts(proxy) for proxy in proxies])


async def test_a_removed_nodes_login_is_gone_and_its_proxies_go_on_until_it_is_told(fleet: Cluster):
    answer = await fleet.api.delete("/nodes/2")
    assert answer.status_code == 204
    async with fleet.vhost.management() as broker:
        assert (await broker.get("users/node-2")).status_code == 404
    name = next(node.agent.name for node in fleet.nodes.values() if node.id == 2)
    await eventually(lambda: logged(fleet, name, "bus.refused"), 30)


@pytest.mark.parametrize("program", ["master", "node"])
def test_a_wrong_setting_is_told_in_one_line_and_exit_code_2(program: str, tmp_path: Path):
    environment = {"PATH": "/usr/bin:/bin", "DATABASE_HOST": "127.0.0.1", "NODE_DATA_DIR": str(tmp_path)}
    environment |= {
        "NODE_ENROL_PORT": "many",
        "AMQP_URL": "amqp://maybe:geheim@127.0.0.1/",
        "RABBITMQ_MANAGEMENT_URL": "x",
    }
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", program]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert {"master": "RABBITMQ_MANAGEMENT_URL", "node": "NODE_ENROL_PORT"}[program] in done.stderr
    assert "geheim" not in done.stderr


async def test_the_master_stops_on_a_signal_with_exit_code_0(bare: Cluster):
    process = bare.masters["master"].running
    assert process is not None
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 10) == 0
