"""Both doctors name a certificate that is refused, one that ends soon, and links in clear text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from master.doctor.examination import findings as master_findings
from node.doctor.examination import findings as node_findings
from node.settings import read_settings
from node.state.identity import Identity, write_identity
from shared.doctor.findings import Finding
from shared.enrolment.bodies import NodeConfig
from tests.services.postgres import Database
from tests.services.rabbitmq import Vhost
from tests.tls.authority import Authority
from tests.tls.terminator import tls_in_front

ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Link:
    """What a master and a node know of a broker, and the folder of their files."""

    url: str
    management_url: str
    ca: str
    folder: Path

    async def master(self, database: Database, **settings: str) -> list[Finding]:
        file = self.folder / "trusted.pem"
        file.write_text(self.ca)
        broker = {"AMQP_URL": self.url, "RABBITMQ_MANAGEMENT_URL": self.management_url, "AMQP_CA_FILE": str(file)}
        return await master_findings(
            {**database.environment, **broker, "API_HOST": ADDRESS, "API_PORT": "1", **settings}
        )

    async def node(self) -> list[Finding]:
        env = {"NODE_DATA_DIR": str(self.folder), "NODE_WORKERS": "1"}
        urls = (SecretStr(self.url),)
        config = NodeConfig(node_id=1, name="owl", cluster="c", amqp_urls=urls, ca=self.ca, queue="mp.node.1")
        write_identity(read_settings(env).identity_file, Identity(config))
        return await node_findings(env)


@asynccontextmanager
async def link(
    vhost: Vhost, folder: Path, authority: Authority, *, days: float = 90, host: str = ADDRESS, ca: str | None = None
) -> AsyncIterator[Link]:
    """A broker and its management API with a certificate of this authority, of which the parties trust `ca`."""
    certificate = authority.issue(folder, host, days=days)
    url, management = urlsplit(vhost.amqp_url), urlsplit(vhost.management_url)
    async with (
        tls_in_front(certificate, vhost.host, vhost.port) as port,
        tls_in_front(certificate, vhost.host, management.port or 0) as management_port,
    ):
        netloc = f"{url.netloc.rpartition('@')[0]}@{ADDRESS}:{port}"
        amqps = url._replace(scheme="amqps", netloc=netloc).geturl()
        yield Link(amqps, f"https://{ADDRESS}:{management_port}", ca or authority.pem, folder)


def of(found: list[Finding], check: str, level: str) -> str:
    """The findings of a check and a level."""
    return "\n".join(str(each) for each in found if (each.check, each.level) == (check, level))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"ca": Authority("Other CA").pem}, "an authority that is not trusted here"),
        ({"host": "192.0.2.1"}, "certificate is not valid for '127.0.0.1'"),
        ({"days": -1}, "certificate has expired"),
    ],
    ids=["another authority", "another name", "expired"],
)
async def test_a_refused_certificate_is_a_problem_with_its_reason_for_both(
    fault: dict[str, str], reason: str, vhost: Vhost, database: Database, tmp_path: Path
):
    async with link(vhost, tmp_path, Authority(), **fault) as broker:
        master, node = await broker.master(database), await broker.node()
    assert reason in of(master, "RabbitMQ", "problem")
    assert "AMQP_CA_FILE" in of(master, "RabbitMQ", "problem")
    assert reason in of(master, "management API", "problem")
    assert "RABBITMQ_MANAGEMENT_URL" in of(master, "management API", "problem")
    assert reason in of(node, "broker", "problem")
    assert vhost.password not in "\n".join(map(str, [*master, *node]))


async def test_certificates_that_end_within_thirty_days_are_warnings_for_both(
    vhost: Vhost, database: Database, tmp_path: Path
):
    authority = Authority(days=29)
    chain, key = authority.issue(tmp_path, "api.example", days=20, name="api")
    api = {"API_TLS_CERT": str(chain), "API_TLS_KEY": str(key)}
    async with link(vhost, tmp_path, authority, days=10) as broker:
        master, node = await broker.master(database, **api), await broker.node()
    for found in (master, node):
        assert "in 9 days -> make another one" in of(found, "broker certificate", "warning")
        assert "Test CA expires on" in of(found, "broker CA", "warning")
        assert of(found, "encryption", "ok")
    assert "in 19 days" in of(master, "API certificate", "warning")


async def test_certificates_that_last_are_no_fault(vhost: Vhost, database: Database, tmp_path: Path):
    ending, lasting = Authority("Old CA", days=5), Authority("New CA", days=300)
    async with link(vhost, tmp_path, lasting, ca=ending.pem + lasting.pem) as broker:
        master, node = await broker.master(database), await broker.node()
    for found in (master, node):
        assert not [each for each in found if each.check in ("broker certificate", "broker CA") and each.level != "ok"]
        assert "Old CA expires" in of(found, "broker CA", "ok")


async def test_links_in_clear_text_are_warnings(database: Database, vhost: Vhost, tmp_path: Path):
    url = "amqp://u:hunter2@broker.invalid/v"
    settings = {"AMQP_URL": url, "NODE_AMQP_URL": "amqp://192.0.2.7", "RABBITMQ_MANAGEMENT_URL": vhost.management_url}
    master = await master_findings({**database.environment, **settings, "API_HOST": ADDRESS, "API_PORT": "1"})
    config = NodeConfig(node_id=1, name="owl", cluster="c", amqp_urls=(SecretStr(url),), queue="mp.node.1")
    env = {"NODE_DATA_DIR": str(tmp_path), "NODE_WORKERS": "1"}
    write_identity(read_settings(env).identity_file, Identity(config))
    node = await node_findings(env)
    assert "in clear text to amqp://broker.invalid, amqp://192.0.2.7 ->" in of(master, "encryption", "warning")
    assert "in clear text to amqp://broker.invalid ->" in of(node, "encryption", "warning")
    assert "hunter2" not in "\n".join(map(str, [*master, *node]))
