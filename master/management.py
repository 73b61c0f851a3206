"""The addresses of RabbitMQ's management API."""

import ssl
from dataclasses import dataclass, field

from master.tls import trusted
from shared.bus.addresses import BrokerAddresses, ssl_context


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagementApi:
    """The management API of one cluster of brokers, which takes the login of the bus.

    `ca` is the PEM text of the authorities trusted on https://, None for those of the host.
    """

    urls: tuple[str, ...]
    login: tuple[str, str] = field(repr=False)
    vhost: str
    ca: str | None = None

    @property
    def trust(self) -> ssl.SSLContext:
        """The context of its clients."""
        return trusted() if self.ca is None else ssl_context(self.ca)


def management_of(urls: tuple[str, ...], broker: BrokerAddresses, ca: str | None = None) -> ManagementApi:
    """Return the management API of this broker."""
    return ManagementApi(urls=urls, login=broker.login, vhost=broker.vhost, ca=ca)
