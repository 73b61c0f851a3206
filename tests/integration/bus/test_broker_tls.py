"""A program's link to a broker whose certificate is checked, and to several addresses of one cluster."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from master.broker import Broker
from master.errors import BrokerAway
from master.management import management_of
from shared.bus.addresses import BrokerAddresses, addresses
from shared.bus.client import Bus
from shared.bus.intake import Intake
from shared.bus.logins import try_logins
from shared.messages.routes import MASTER_QUEUE
from tests.integration.bus.conftest import nothing, reaches, running
from tests.services.rabbitmq import Vhost
from tests.tls.authority import Authority
from tests.tls.terminator import tls_in_front


@pytest.fixture
def authority() -> Authority:
    return Authority()


def through(vhost: Vhost, port: int, ca: str | None, host: str = "127.0.0.1") -> BrokerAddresses:
    url = urlsplit(vhost.amqp_url)
    netloc = f"{url.netloc.rpartition('@')[0]}@{host}:{port}"
    return addresses([url._replace(scheme="amqps", netloc=netloc).geturl()], ca)


def bus_to(broker: BrokerAddresses) -> Bus:
    return Bus(broker, program="test", intake=Intake(MASTER_QUEUE, nothing))


async def test_a_broker_with_a_certificate_of_the_authority_is_used(
    two_nodes: None, vhost: Vhost, authority: Authority, tmp_path: Path
) -> None:
    async with tls_in_front(authority.issue(tmp_path, "127.0.0.1"), vhost.host, vhost.port) as port:
        broker = through(vhost, port, authority.pem)
        async with running(bus := bus_to(broker)):
            await reaches(bus, "up")
        assert [each.state for each in await try_logins(broker, queue=MASTER_QUEUE)] == ["accepted"]


@pytest.mark.parametrize("fault", ["another authority", "another name", "expired", "the trust of the host"])
async def test_a_certificate_that_is_refused_is_a_state_of_its_own_with_the_reason(
    two_nodes: None, vhost: Vhost, authority: Authority, tmp_path: Path, fault: str
) -> None:
    name = "192.0.2.1" if fault == "another name" else "127.0.0.1"
    certificate = authority.issue(tmp_path, name, days=-1 if fault == "expired" else 10)
    ca = {"another authority": Authority("Other CA").pem, "the trust of the host": None}.get(fault, authority.pem)
    reason = {"another name": "mismatch", "expired": "expired"}.get(fault, "local issuer")
    async with tls_in_front(certificate, vhost.host, vhost.port) as port:
        broker = through(vhost, port, ca)
        async with running(bus := bus_to(broker)):
            await reaches(bus, "untrusted")
        [found] = await try_logins(broker, queue=MASTER_QUEUE)
    assert found.state == "untrusted"
    assert reason in found.reason


async def test_the_next_address_is_used_when_one_is_away(two_nodes: None, vhost: Vhost) -> None:
    away = vhost.amqp_url.replace(f":{vhost.port}/", ":1/")
    async with running(bus := bus_to(addresses([away, vhost.amqp_url]))):
        await reaches(bus, "up")
        assert bus.url.get_secret_value() == vhost.amqp_url


async def test_a_refused_certificate_of_the_management_api_is_named(vhost: Vhost) -> None:
    assert vhost.tls
    url = vhost.tls.management_url
    broker = Broker(management_of((url,), vhost.broker, Authority("Other CA").pem))
    with pytest.raises(BrokerAway, match="its certificate is refused: it comes from an authority that is not trusted"):
        await broker.ensure_all({})
    await broker.close()


async def test_a_link_in_clear_text_is_a_line_of_the_log_unless_it_stays_on_this_host(vhost: Vhost) -> None:
    with capture_logs() as lines:
        for url in ("amqp://u:hunter2@192.0.2.1/", vhost.in_clear().amqp_url, vhost.amqps_url):
            async with running(bus_to(addresses([url]))):
                await asyncio.sleep(0)
    [line] = [line for line in lines if line["event"] == "bus.clear_text"]
    assert line["brokers"] == ["amqp://192.0.2.1"]
    assert "hunter2" not in str(line)
