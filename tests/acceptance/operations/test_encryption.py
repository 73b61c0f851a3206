"""What somebody on the wire sees of a cluster, and what happens when the broker's certificate is not the right one."""

import base64
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from node.commands.status import running_agent
from node.data_directory import DataDirectory
from tests.acceptance.conftest import eventually, logged, made, shown
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, Node, cluster, succeeded
from tests.services.folders import Folder
from tests.services.ports import API, HOST
from tests.services.postgres import Database, PostgreSQL
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.rabbitmq_tls import BrokerTls
from tests.services.relay import Relay, opened
from tests.services.sources import Where
from tests.tls.authority import Authority

USERNAME, PASSWORD, CHANGED = "user-on-the-wire", "first-password-1", "second-password-2"
REFUSED_S = 60
"""Above the pause between two tries while a certificate is refused."""


@dataclass(frozen=True)
class Parts:
    """What a cluster needs."""

    where: Where
    postgres: PostgreSQL
    rabbitmq: RabbitMQ
    database: Database
    vhost: Vhost

    @asynccontextmanager
    async def cluster(self, vhost: Vhost) -> AsyncIterator[Cluster]:
        """A master that reaches the broker as `vhost` describes."""
        folder = Folder(self.where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
        where = replace(self.where, folder=folder)
        async with cluster(where, self.postgres, self.rabbitmq, self.database, vhost) as one:
            succeeded(await one.api.post("/locations", json={"name": "home"}))
            yield one


@pytest.fixture
def parts(where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost) -> Parts:
    return Parts(where, postgres, rabbitmq, database, vhost)


def relays_to(vhost: Vhost) -> tuple[Relay, Relay]:
    """Wires to the broker and to its management API, as `vhost` reaches them."""
    return Relay(vhost.host, vhost.used_ports[0]), Relay(vhost.host, vhost.used_ports[1])


def through(vhost: Vhost, broker: Relay, management: Relay) -> Vhost:
    """The same by these wires, which are open."""
    if vhost.tls is None:
        return replace(vhost, port=broker.own_port, management_url=f"http://{HOST}:{management.own_port}")
    url = f"https://{HOST}:{management.own_port}"
    return replace(vhost, tls=replace(vhost.tls, port=broker.own_port, management_url=url))


async def enrolled(one: Cluster, enrolment: Relay) -> Node:
    """A node that the master calls by a wire, too."""
    node = await one.launch()
    body = await one.challenge(node)
    enrolment.port = body["port"]
    answer = succeeded(await one.api.post("/nodes", json={**body, "port": enrolment.own_port, "location_id": 1}))
    node.id = answer.json()["id"]
    succeeded(await one.api.patch(f"/nodes/{node.id}", json={"limits": {"ports": node.ports.range}}))
    await one.online(node)
    return node


async def main_job(one: Cluster, client: Client) -> None:
    """A proxy is made, used, changed and removed."""
    proxy = await made(one, username=USERNAME, password=PASSWORD, protocol="mixed")
    await client.use(proxy)
    change = {"json": {"password": CHANGED}, "headers": {"Prefer": "wait=10"}}
    succeeded(await one.api.patch(f"/proxies/{proxy['id']}", **change))
    await client.use(await shown(one, proxy))
    succeeded(await one.api.delete(f"/proxies/{proxy['id']}", headers={"Prefer": "wait=10"}))


def secrets_of(one: Cluster, node: Node) -> dict[str, bytes]:
    """Logins, passwords, and parts of a proxy's record."""
    config = json.loads((node.data / "identity.json").read_text())["config"]
    vhost = one.vhost
    return {
        "login of the master": vhost.password.encode(),
        "login at the management API": base64.b64encode(f"{vhost.user}:{vhost.password}".encode()),
        "login of the node": str(urlsplit(config["amqp_urls"][0]).password).encode(),
        "username": USERNAME.encode(),
        "first password": PASSWORD.encode(),
        "second password": CHANGED.encode(),
        "record": b'"protocol"',
        "queue": b"mp.node.1",
    }


COMPARISON = pytest.param(False, marks=pytest.mark.long, id="in clear text, for comparison")


@pytest.mark.parametrize("is_encrypted", [pytest.param(True, id="over TLS"), COMPARISON])
async def test_no_login_no_password_and_no_record_is_on_the_wire(parts: Parts, client: Client, *, is_encrypted: bool):
    vhost = parts.vhost if is_encrypted else parts.vhost.in_clear()
    broker, management = relays_to(vhost)
    enrolment = Relay(HOST, 0, own_port=parts.where.ports.port(API + 9))
    async with opened(broker, management, enrolment):
        async with parts.cluster(through(vhost, broker, management)) as one:
            node = await enrolled(one, enrolment)
            await main_job(one, client)
            hidden = secrets_of(one, node)
        wires = {"broker": broker.seen, "management": management.seen, "enrolment": enrolment.seen}
    assert min(map(len, wires.values())) > 500
    seen = {name for name, secret in hidden.items() for wire in wires.values() if secret in wire}
    assert seen == (set() if is_encrypted else set(hidden))
    assert not [name for name, secret in hidden.items() if secret in wires["enrolment"]]


FAULTS = {
    "expired": "certificate has expired",
    "another authority": "an authority that is not trusted here",
    "another name": "certificate is not valid for",
}


def certificate(folder: Path, authority: Authority, fault: str | None) -> tuple[Path, Path]:
    """A certificate of the broker, right or with this fault."""
    signer = Authority("Other CA") if fault == "another authority" else authority
    host = "192.0.2.1" if fault == "another name" else HOST
    return signer.issue(folder, host, days=-1 if fault == "expired" else 10)


def link_of(node: Node) -> str:
    """The node's link, as `maybe-node status` shows it."""
    return running_agent(DataDirectory(node.data)).link


@pytest.mark.parametrize("fault", ["expired", *(pytest.param(f, marks=pytest.mark.long) for f in list(FAULTS)[1:])])
async def test_a_wrong_certificate_is_refused_and_named_by_master_and_node_and_no_proxy_notices(
    parts: Parts, client: Client, tmp_path: Path, fault: str
):
    authority, context = Authority(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, authority, None))
    (tmp_path / "ca.pem").write_text(authority.pem)
    plain = parts.vhost.in_clear()
    broker, management = relays_to(plain)
    broker.tls = management.tls = context
    async with opened(broker, management):
        tls = BrokerTls(broker.own_port, f"https://{HOST}:{management.own_port}", tmp_path / "ca.pem")
        async with parts.cluster(replace(plain, tls=tls)) as one:
            node = await one.node(location_id=1)
            kept = await client.tunnel(await made(one))
            context.load_cert_chain(*certificate(tmp_path, authority, fault))
            for wire in (broker, management):
                wire.reset()
            await eventually(lambda: is_refused(one, node, FAULTS[fault]), REFUSED_S)
            await kept.beat()
            context.load_cert_chain(*certificate(tmp_path, authority, None))
            await one.converged(within=REFUSED_S)
            await kept.beat()


async def is_refused(one: Cluster, node: Node, reason: str) -> bool:
    """Whether both say so, wherever a person may look. The master serves requests meanwhile."""
    assert (await one.api.get("/health/ready")).json()["broker"] == "untrusted"
    assert link_of(node) == "untrusted"
    for program in ("master", node.agent.name):
        assert await logged(one, program, '"bus.untrusted"')
        assert await logged(one, program, reason)
    return reason in problem_of(await one.api.get("/health/report"))


def problem_of(report: httpx.Response) -> str:
    found = report.json()["items"]
    return "".join(each["text"] for each in found if (each["check"], each["level"]) == ("RabbitMQ", "problem"))
