"""A virtual host of RabbitMQ, and how programs reach it."""

from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlsplit

import aio_pika
import httpx
from aio_pika.abc import AbstractConnection

from master.management import ManagementApi, management_of
from master.tls import trusted
from shared.bus.addresses import BrokerAddresses, addresses, ssl_context
from shared.enrolment.bodies import NodeConfig
from tests.services.rabbitmq_tls import BrokerTls


@dataclass(frozen=True)
class Vhost:
    """A virtual host and the login to it."""

    host: str
    port: int
    management_url: str
    user: str
    password: str = field(repr=False)
    name: str = "/"
    tls: BrokerTls | None = None

    @property
    def amqp_url(self) -> str:
        """The address in clear text."""
        return f"amqp://{self._login}@{self.host}:{self.port}/{quote(self.name, safe='')}"

    @property
    def amqps_url(self) -> str:
        """The address over TLS."""
        assert self.tls
        return f"amqps://{self._login}@{self.host}:{self.tls.port}/{quote(self.name, safe='')}"

    @property
    def _login(self) -> str:
        return f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"

    @property
    def broker(self) -> BrokerAddresses:
        """The address that programs use, with its login."""
        return addresses([self.environment["AMQP_URL"]], self.tls.pem if self.tls else None)

    @property
    def management_api(self) -> ManagementApi:
        """The management API for the master's parts."""
        return management_of((self.environment["RABBITMQ_MANAGEMENT_URL"],), self.broker, self.broker.ca)

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the master, with which all links are encrypted if the broker can."""
        if self.tls is None:
            return {"AMQP_URL": self.amqp_url, "RABBITMQ_MANAGEMENT_URL": self.management_url}
        return {
            "AMQP_URL": self.amqps_url,
            "AMQP_CA_FILE": str(self.tls.authority),
            "RABBITMQ_MANAGEMENT_URL": self.tls.management_url,
        }

    @property
    def used_ports(self) -> tuple[int, int]:
        """The ports that programs with these settings call: of the broker, which nodes call, too, and of its API."""
        urls = (self.environment["AMQP_URL"], self.environment["RABBITMQ_MANAGEMENT_URL"])
        broker, management = (urlsplit(url).port for url in urls)
        assert broker
        assert management
        return broker, management

    def named(self, name: str) -> "Vhost":
        return replace(self, name=name)

    def in_clear(self) -> "Vhost":
        """The same over connections in clear text."""
        return replace(self, tls=None)

    def management(self) -> httpx.AsyncClient:
        """Return a client of the management API with our login."""
        return httpx.AsyncClient(
            base_url=f"{self.management_url}/api/",
            auth=(self.user, self.password),
            timeout=10,
            verify=trusted(),
            trust_env=False,
        )


async def connected_as(config: NodeConfig) -> AbstractConnection:
    """Log in at the first address of this configuration. Raises AMQPError."""
    trust = None if config.ca is None else ssl_context(config.ca)
    return await aio_pika.connect(config.amqp_urls[0].get_secret_value(), ssl_context=trust)
