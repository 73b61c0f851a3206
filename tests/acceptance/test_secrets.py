"""No secret is told: not in a log, an event, an error, a list of processes, or to another node."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from shared.enrolment.challenge import new_challenge
from tests.acceptance.conftest import eventually
from tests.clients.traffic import Client, Refused
from tests.cluster.cluster import Cluster, Node, challenge_of, succeeded

GUESSED, CHANGED, MISSHAPEN = "guessed-wrong-1", "changed-later-2", "has a blank-3"
PROTOCOLS = ("http", "socks5", "mixed")
WATCHED = [("mp.node", "2"), ("mp.master", "node-2.#")]
"""Everything that node 2 gets or says."""


@pytest.fixture(autouse=True)
def everything_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")


@dataclass
class Told:
    """All that was kept secret, and all that was told, by where."""

    secrets: dict[str, str] = field(default_factory=dict[str, str])
    texts: dict[str, str] = field(default_factory=dict[str, str])

    def leaks(self) -> Iterator[tuple[str, str]]:
        """(which secret, where)."""
        for name, secret in self.secrets.items():
            yield from ((name, where) for where, text in self.texts.items() if secret in text)


async def test_no_secret_is_in_any_log_event_error_or_process_or_reaches_another_node(bare: Cluster, client: Client):
    told = Told({"broker": bare.vhost.password, "database": bare.database.password})
    told.secrets |= {"guessed": GUESSED, "changed": CHANGED, "misshapen": MISSHAPEN}
    await enrolled(bare, told)
    async with bare.vhost.management() as broker:
        await watch(bare, broker)
        await random_exit(bare, told)
        await main_job(bare, client, told)
        told.texts["another node"] = await watched(bare, broker)
    told.texts |= await events(bare) | logs(bare)
    assert [where for where in told.texts if where.startswith("worker")]
    assert "check-sync" in told.texts["another node"]
    assert len(told.secrets) == 5 + 3 + 2 + 1 + len(PROTOCOLS)
    assert not list(told.leaks())


async def enrolled(cluster: Cluster, told: Told) -> None:
    """Two nodes, the first after a refusal."""
    for number in (1, 2):
        node = await cluster.launch()
        await eventually(lambda node=node: asyncio.sleep(0, challenge_of(node)), 20)
        waiting = challenge_of(node)
        assert waiting
        told.secrets[f"challenge {number}"] = waiting["challenge"]
        if number == 1:
            wrong = told.secrets["challenge that is not this node's"] = new_challenge()
            body = {"ip": "127.0.0.1", "port": waiting["port"], "challenge": wrong}
            await refused(cluster, told, 403, "POST", "/nodes", json=body)
            await refused(cluster, told, 422, "POST", "/nodes", json=body | {"challenge": wrong[:-1] + "U"})
        await cluster.enrol(node)
        told.secrets[f"login of node {number}"] = login_password(node)


def login_password(node: Node) -> str:
    """Out of the identity that the node keeps."""
    kept = json.loads((node.data / "identity.json").read_text())
    url = kept.get("config", kept)["amqp_urls"][0]
    password = urlsplit(url).password
    assert password
    return password


async def refused(cluster: Cluster, told: Told, status: int, method: str, path: str, **more: Any) -> None:
    answer = await cluster.api.request(method, path, **more)
    assert answer.status_code == status, answer.text
    told.texts[f"error {len(told.texts)} {method} {path}"] = answer.text + str(answer.headers)


async def watch(cluster: Cluster, broker: httpx.AsyncClient) -> None:
    vhost = cluster.vhost.name
    (await broker.put(f"queues/{vhost}/watch", json={"durable": False})).raise_for_status()
    for exchange, key in WATCHED:
        path = f"bindings/{vhost}/e/{exchange}/q/watch"
        (await broker.post(path, json={"routing_key": key})).raise_for_status()


async def watched(cluster: Cluster, broker: httpx.AsyncClient) -> str:
    """Every message on the watched queue, properties included."""
    asked = {"count": 5000, "ackmode": "ack_requeue_false", "encoding": "auto"}
    return (await broker.post(f"queues/{cluster.vhost.name}/watch/get", json=asked)).raise_for_status().text


async def random_exit(cluster: Cluster, told: Told) -> None:
    """A proxy of node 1 that draws addresses: its record carries the node's key."""
    succeeded(await cluster.api.patch("/nodes/1", json={"exits": {"ipv6_prefixes": ["2001:db8::/64"]}}))
    wish = {"node_ids": [1], "exit": {"mode": "ipv6_random"}}
    told.texts["random exit"] = succeeded(
        await cluster.api.post("/proxies", json=wish, headers={"Prefer": "wait=10"})
    ).text
    async with cluster.database.connection() as rows:
        told.secrets["exit key"] = await rows.fetchval("SELECT exit_key FROM nodes WHERE id = 1")


async def main_job(cluster: Cluster, client: Client, told: Told) -> None:
    """Proxies of every protocol on node 1: made, used rightly and wrongly, changed, and taken away."""
    made = [await running(cluster, node_ids=[1], protocol=protocol) for protocol in PROTOCOLS]
    await running(cluster, node_ids=[2])
    for proxy in made:
        told.secrets[f"password of the {proxy['protocol']} proxy"] = proxy["password"]
        await used(client, proxy)
    told.texts["processes"] = processes()
    await misused(cluster, told)
    for proxy in made:
        path = f"/proxies/{proxy['id']}"
        changed = await cluster.api.patch(path, json={"password": CHANGED}, headers={"Prefer": "wait=10"})
        await used(client, succeeded(changed).json())
    told.texts["processes later"] = processes()
    answer = await cluster.api.delete("/proxies", params={"node_id": 1, "expect": 4}, headers={"Prefer": "wait=10"})
    succeeded(answer)


async def running(cluster: Cluster, **wish: Any) -> dict[str, Any]:
    answer = succeeded(await cluster.api.post("/proxies", json=wish, headers={"Prefer": "wait=10"}))
    assert answer.json()["status"]["state"] == "running"
    return answer.json()


async def used(client: Client, proxy: dict[str, Any]) -> None:
    """Once rightly, once with a wrong password."""
    if proxy["protocol"] == "socks5":
        assert await by_socks(client.echo_port, proxy, proxy["password"])
        assert not await by_socks(client.echo_port, proxy, GUESSED)
        return
    await client.use(proxy)
    with pytest.raises(Refused):
        await client.tunnel(proxy, password=GUESSED)


async def by_socks(port: int, proxy: dict[str, Any], password: str) -> bool:
    """Whether the login is accepted (RFC 1929)."""
    reader, writer = await asyncio.open_connection(proxy["host"], proxy["port"])
    name, word = proxy["username"].encode(), password.encode()
    async with asyncio.timeout(5):
        writer.write(b"\5\1\2\1" + bytes([len(name)]) + name + bytes([len(word)]) + word)
        accepted = await reader.readexactly(4) == b"\5\2\1\0"
        if accepted:
            writer.write(b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2))
            assert (await reader.readexactly(10))[1] == 0
    writer.close()
    await writer.wait_closed()
    return accepted


async def misused(cluster: Cluster, told: Told) -> None:
    """Requests that are refused with a secret in them."""
    wrong = {"node_ids": [1], "username": "u", "password": MISSHAPEN}
    await refused(cluster, told, 422, "POST", "/proxies", json=wrong)
    await refused(cluster, told, 422, "POST", "/proxies", json=wrong | {"password": GUESSED, "port": GUESSED})
    await refused(cluster, told, 422, "PATCH", "/proxies/1", json={"password": {"is": GUESSED}})
    await refused(cluster, told, 409, "POST", "/proxies", json=wrong | {"password": GUESSED, "port": 1})
    headers = {"content-type": "application/json"}
    await refused(cluster, told, 400, "POST", "/proxies", content=f'{{"password": "{GUESSED}', headers=headers)
    await refused(cluster, told, 415, "POST", "/proxies", content=f"password={GUESSED}")


def processes() -> str:
    """The command line of everything that runs here."""
    return "\n".join(arguments(path) for path in Path("/proc").glob("[0-9]*/cmdline"))


def arguments(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has ended meanwhile


async def events(cluster: Cluster) -> dict[str, str]:
    page = succeeded(await cluster.api.get("/events", params={"limit": 1000}))
    assert page.json()["next"] is None
    return {"events": page.text}


def logs(cluster: Cluster) -> dict[str, str]:
    """Of programs and workers; what a waiting node shows the person before it is no line of the log."""
    found = {name: program.log.read_text(errors="replace") for name, program in cluster.programs.items()}
    for name in cluster.nodes:
        found[name] = "\n".join(line for line in found[name].splitlines() if line.startswith("{"))
    for name, node in cluster.nodes.items():
        found |= {f"worker {name} {path.name}": path.read_text(errors="replace") for path in node.data.rglob("*.log")}
    return found
