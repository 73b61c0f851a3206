"""Links to the broker, and which of them count: rows of the table, and the settings of this master. Pure.

Settings are the link of revision 0 until the broker moves. After that the table counts, so that a master whose settings
were not adapted yet still finds the broker. The login is the exception: as long as AMQP_URL names the same place, its
login counts, so that a password is changed by the setting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from master.management import ManagementApi, management_of
from master.settings import Settings
from shared.bus.addresses import SYSTEM, BrokerAddresses, endpoint, login, vhost, without_login
from shared.messages.bodies import BrokerReport

LinkState = Literal["new", "both", "only", "closing", "old"]
USED: tuple[LinkState, ...] = ("both", "only")
"""States of links that nodes move to or use."""

Place = tuple[str, frozenset[str], str]
"""Scheme, endpoints and virtual host."""


@dataclass(frozen=True, kw_only=True)
class BrokerLink:
    """A link. `amqp_urls` have the login of masters, an administrator's; `ca` is PEM, "system" or None.

    Links with the same `queues` lead to the same virtual host of the same broker.
    """

    rev: int
    amqp_urls: tuple[SecretStr, ...]
    management_urls: tuple[str, ...]
    node_amqp_urls: tuple[str, ...]
    ca: str | None = None
    queues: int = 0
    state: LinkState = "only"

    @cached_property
    def broker(self) -> BrokerAddresses:
        """The addresses for masters. Raises ValueError."""
        return self._addresses(self.amqp_urls)

    @cached_property
    def node_broker(self) -> BrokerAddresses:
        """The addresses for nodes, without a login. Raises ValueError."""
        return self._addresses(tuple(map(SecretStr, self.node_amqp_urls)))

    @property
    def management(self) -> ManagementApi:
        """The management API."""
        return management_of(self.management_urls, self.broker, None if self.ca == SYSTEM else self.ca)

    @cached_property
    def place(self) -> Place:
        """The place to which the addresses lead, as far as they show it."""
        texts = [url.get_secret_value() for url in self.amqp_urls]
        return urlsplit(texts[0]).scheme, frozenset(map(endpoint, texts)), vhost(texts[0])

    @property
    def content(self) -> tuple[object, ...]:
        """Everything but revision and state. Links that agree in it share their connections."""
        return self.amqp_urls, self.management_urls, self.ca

    def _addresses(self, urls: tuple[SecretStr, ...]) -> BrokerAddresses:
        is_secure = urlsplit(urls[0].get_secret_value()).scheme == "amqps"
        return BrokerAddresses(urls, self.ca if is_secure else None)


def link_from_row(row: Mapping[str, Any]) -> BrokerLink:
    """Make a link out of a row of `broker_links`."""
    return BrokerLink(
        rev=row["rev"],
        amqp_urls=tuple(map(SecretStr, row["amqp_urls"])),
        management_urls=tuple(row["management_urls"]),
        node_amqp_urls=tuple(row["node_amqp_urls"]),
        ca=row["ca"],
        queues=row["queues"],
        state=row["state"],
    )


def configured_link(settings: Settings) -> BrokerLink:
    """Return the link of the settings."""
    return BrokerLink(
        rev=0,
        amqp_urls=settings.amqp_urls,
        management_urls=settings.management_urls,
        node_amqp_urls=settings.node_broker.bare_urls,
        ca=settings.amqp_ca.pem if settings.amqp_ca is not None else None,
    )


def counting_links(rows: Sequence[BrokerLink], configured: BrokerLink) -> tuple[BrokerLink, ...]:
    """Return all links, also old ones, by revision, as this master has to use them."""
    if not rows:
        return (configured,)
    return tuple(sorted((with_settings(row, rows, configured) for row in rows), key=lambda link: link.rev))


def with_settings(row: BrokerLink, rows: Sequence[BrokerLink], configured: BrokerLink) -> BrokerLink:
    """Return the link of a row with what the settings of this master add.

    The link before the first move is that of the settings, also where a master names the broker by another name than
    the master that wrote the row, unless the settings name another row's place already.
    """
    first = next((other for other in rows if other.rev == 0), None)
    is_first = first is not None and row.content == first.content
    others = {other.place for other in rows if first is None or other.content != first.content}
    if is_first and configured.place not in others:
        return replace(configured, rev=row.rev, queues=row.queues, state=row.state)
    if configured.place == row.place:
        return replace(row, amqp_urls=tuple(with_login(url, configured.broker.login) for url in row.amqp_urls))
    return row


def with_login(url: SecretStr, login_: tuple[str, str]) -> SecretStr:
    """Put another login into an address."""
    text = url.get_secret_value()
    if login(text) == login_:
        return url
    user, password = (quote(part, safe="") for part in login_)
    parts = urlsplit(without_login(text))
    return SecretStr(parts._replace(netloc=f"{user}:{password}@{parts.netloc}").geturl())


def present(links: Sequence[BrokerLink]) -> BrokerLink:
    """Return the link that masters came from: the only one, or that before the move."""
    return next(link for link in links if link.state == "only")


def target(links: Sequence[BrokerLink]) -> BrokerLink:
    """Return the link that nodes move to or use."""
    return max((link for link in links if link.state in USED), key=lambda link: link.rev)


def link_in_use(links: Sequence[BrokerLink], here: Sequence[BrokerLink], report: BrokerReport | None) -> int:
    """Return the revision of the link that a node uses whose report came over the connection of the links `here`.

    The connection shows the broker. Where several links lead to its queues, because only TLS is turned on or an
    authority changes, the report names the link, unless it is about one that failed.
    """
    near = [link.rev for link in links if any(link.queues == own.queues for own in here)]
    if report is None:
        return min(near)
    if report.state == "failed":
        return max((rev for rev in near if rev < report.rev), default=min(near))
    return report.rev if report.rev in near else max(link.rev for link in here)


def outdated_settings(link: BrokerLink, configured: BrokerLink) -> dict[str, str]:
    """Return the variables of a master that name another place than the link that counts, with their right values."""
    if link.rev == 0:
        return {}
    found: dict[str, str] = {}
    if configured.place != link.place:
        found["AMQP_URL"] = ",".join(link.broker.bare_urls)
    if configured.management_urls != link.management_urls:
        found["RABBITMQ_MANAGEMENT_URL"] = ",".join(link.management_urls)
    if configured.node_amqp_urls != link.node_amqp_urls:
        found["NODE_AMQP_URL"] = ",".join(link.node_amqp_urls)
    if (configured.ca or SYSTEM) != (link.ca or SYSTEM):
        found["AMQP_CA_FILE"] = "the certificates that GET /system/broker shows" if link.ca else "not set"
    return found
