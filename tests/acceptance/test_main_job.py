"""What the product is for, end to end: real programs, the real challenge, real clients."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import eventually, is_in, made, shown
from tests.clients.traffic import Client, Refused, accepts
from tests.cluster.cluster import Cluster, succeeded
from tests.launch.trial import ensure_location, try_out


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
        proxy, messages = await followed(fleet, broker)
    check, need, sync, report = messages
    assert [proxy["id"], proxy["version"]] in check["body"]
    assert need["body"] == [proxy["id"]]
    assert sync["body"][0]["port"] == proxy["port"]
    for message in (check, need, sync, report):
        assert message["headers"]["v"] == 1
        assert message["headers"]["node"] == proxy["node_id"]
        assert message["headers"]["rev"] >= 1
        assert message["content_type"] == "application/json"
    assert {need["user_id"], report["user_id"]} == {f"node-{proxy['node_id']}"}


async def followed(fleet: Cluster, broker: httpx.AsyncClient) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A new proxy and the messages of its round.

    A report carries the id of the latest round: when another one begins before a node reports, this one has no report,
    and the next proxy is watched.
    """
    for _ in range(5):
        proxy = await made(fleet)
        try:
            return proxy, await watched_round(broker, fleet.vhost.name, proxy["id"])
        except AssertionError as error:
            last = error
    raise last


async def watched_round(broker: httpx.AsyncClient, vhost: str, proxy_id: int) -> list[dict[str, Any]]:
    """The messages that share a correlation id, one of each type, of the round in which the proxy is asked for."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    types = ["check-sync", "need-sync", "sync", "report"]

    async def whole() -> bool:
        asked = {"count": 200, "ackmode": "ack_requeue_false", "encoding": "auto"}
        for message in (await broker.post(f"queues/{vhost}/watch/get", json=asked)).json():
            properties = message["properties"]
            shown = {**properties, "body": json.loads(message["payload"])}
            found.setdefault(properties["correlation_id"], {}).setdefault(properties["type"], shown)
        return bool(rounds())

    def rounds() -> list[list[dict[str, Any]]]:
        whole = [list(messages.values()) for messages in found.values() if list(messages) == types]
        return [messages for messages in whole if messages[1]["body"] == [proxy_id]]

    await eventually(whole, 3)
    return rounds()[0]


async def test_a_deleted_proxys_connections_are_closed_within_a_second_and_others_are_left_alone(
    lone: Cluster, client: Client
):
    doomed, other = await made(lone, node_ids=[1]), await made(lone, node_ids=[1])
    cut, kept = await client.tunnel(doomed), await client.tunnel(other)
    await cut.beat()
    answer = await lone.api.delete(f"/proxies/{doomed['id']}", headers={"Prefer": "wait=10"})
    assert answer.status_code == 204
    assert await cut.ended(within_s=1)
    await kept.beat()
    assert not await accepts(doomed)


async def test_changed_credentials_close_only_the_connections_that_used_the_old_ones(lone: Cluster, client: Client):
    proxy, other = await made(lone, node_ids=[1]), await made(lone, node_ids=[1])
    cut, kept = await client.tunnel(proxy), await client.tunnel(other)
    answer = await lone.api.patch(
        f"/proxies/{proxy['id']}", json={"password": "another-one-1"}, headers={"Prefer": "wait=10"}
    )
    assert answer.json()["status"]["state"] == "running"
    assert await cut.ended(within_s=1)
    await kept.beat()
    with pytest.raises(Refused, match="407"):
        await client.tunnel(proxy)
    await client.use(answer.json())


async def test_a_port_taken_by_a_stranger_fails_that_proxy_alone_and_it_runs_once_the_port_is_free(
    lone: Cluster, client: Client
):
    node = next(node for node in lone.nodes.values() if node.id == 1)
    port = node.ports.port(50)
    stranger = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
    answer = await lone.api.post("/proxies", json={"node_ids": [1], "port": port}, headers={"Prefer": "wait=10"})
    failed = answer.json()
    assert (answer.status_code, failed["status"]["state"]) == (201, "failed")
    assert str(port) in failed["status"]["reason"]
    await client.use(await made(lone, node_ids=[1]))
    stranger.close()
    await stranger.wait_closed()
    await eventually(lambda: is_in(lone, failed, "running"), 30)
    await client.use(failed)


async def test_a_proxy_that_did_not_ask_for_its_port_gets_another_when_a_stranger_has_it(lone: Cluster, client: Client):
    node = next(node for node in lone.nodes.values() if node.id == 1)
    strangers = [
        await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", node.ports.port(place)) for place in (1, 2)
    ]
    answer = succeeded(await lone.api.post("/proxies", json={"node_ids": [1]}))
    await eventually(lambda: is_in(lone, answer.json(), "running"), 20)
    moved = await shown(lone, answer.json())
    assert moved["port"] not in (node.ports.port(1), node.ports.port(2))
    await client.use(moved)
    for stranger in strangers:
        stranger.close()


@pytest.mark.parametrize("program", ["master", "node"])
def test_a_wrong_setting_is_told_in_one_line_and_exit_code_2(program: str, tmp_path: Path):
    environment = {"PATH": "/usr/bin:/bin", "DATABASE_HOST": "127.0.0.1", "NODE_DATA_DIR": str(tmp_path)}
    environment |= {
        "NODE_ENROL_PORT": "many",
        "AMQP_URL": "amqp://maybe:geheim@127.0.0.1/",
        "RABBITMQ_MANAGEMENT_URL": "x",
        "DATABASE_USERNAME": "maybe",
        "DATABASE_PASSWORD": "geheim",
        "DATABASE_NAME": "maybe",
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
