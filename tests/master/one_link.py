"""A link to the broker of a test, and a master's connection to it."""

from collections.abc import Sequence
from typing import Any

from master.broker import Broker
from master.broker_links.connections import BrokerLinks, LinkConnection
from master.broker_links.links import BrokerLink
from master.db.database import Database
from shared.bus.client import Bus
from shared.bus.envelopes import Outgoing
from shared.bus.failures import BusDown
from tests.services.rabbitmq import Vhost

NOWHERE = Vhost("127.0.0.1", 1, "http://127.0.0.1:1", "a", "b")


def link_of(vhost: Vhost, rev: int = 0, **more: Any) -> BrokerLink:
    """The link to this virtual host, for masters and nodes."""
    return BrokerLink(
        rev=rev,
        amqp_urls=vhost.broker.urls,
        management_urls=vhost.management_api.urls,
        node_amqp_urls=vhost.broker.bare_urls,
        ca=vhost.broker.ca,
        **more,
    )


def connection_to(vhost: Vhost, broker: Broker, bus: Bus) -> LinkConnection:
    """The connection of a master that has one link."""
    connection = LinkConnection([link_of(vhost)], broker)
    connection.bus = bus
    return connection


class NoBus:
    """A bus that is not connected."""

    state = "down"

    async def publish(self, _: Outgoing) -> str:
        raise BusDown("not connected")


class OneLink:
    """Stands for the links of a master whose broker never moves."""

    def __init__(self, broker: Any = None, bus: Any = None) -> None:
        self.brokers = broker
        self.connection = connection_to(NOWHERE, broker, bus or NoBus())
        self.away_revs: Sequence[int] = ()

    @property
    def is_up(self) -> bool:
        return self.connection.is_up

    def towards(self, _: int | None) -> Sequence[LinkConnection]:
        return [self.connection]


def no_links(rows: Database) -> BrokerLinks:
    """Links that nobody connects."""

    def refuse(_: LinkConnection) -> Bus:
        raise AssertionError("nothing is connected here")

    return BrokerLinks(rows, link_of(NOWHERE), refuse)
