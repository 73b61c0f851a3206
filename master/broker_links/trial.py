"""Trial of a link before any node knows it, and whether two links lead to the same brokers."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import structlog

from master.broker import Broker
from master.broker_links.links import BrokerLink
from master.errors import BrokerAway
from shared.bus.logins import LoginResult, try_logins

log = structlog.get_logger()

EXPIRES_MS = 60_000
"""The broker deletes a probe that a killed master leaves behind."""
EVERYTHING = (".*", ".*", ".*")


@dataclass
class UnusableLink(Exception):
    """A link that a master cannot use; `member` is the member of the link that is at fault."""

    member: str
    reason: str


async def try_link(link: BrokerLink) -> None:
    """Log in at every address as the master, and check its rights. Raises UnusableLink."""
    broker = Broker(link.management)
    try:
        await check_rights(broker, link)
        async with probe_queue(broker, link) as queue:
            for result in await try_logins(link.broker, queue=queue):
                check_login(result)
    except BrokerAway as error:
        raise UnusableLink("management_urls", error.reason) from error
    finally:
        await broker.close()


async def check_rights(broker: Broker, link: BrokerLink) -> None:
    """Check that the login is an administrator's with all rights in the virtual host. Raises UnusableLink, BrokerAway.

    The management API checks the login, too.
    """
    user, vhost = link.broker.login[0], link.broker.vhost
    tags = (await broker.call("GET", "/api/whoami"))["tags"]
    if "administrator" not in (tags.split(",") if isinstance(tags, str) else tags):
        raise UnusableLink("amqp_urls", f"the user {user!r} is no administrator at the broker")
    if vhost not in [each["name"] for each in await broker.call("GET", "/api/vhosts?columns=name")]:
        raise UnusableLink("amqp_urls", f"the broker has no virtual host {vhost!r}")
    granted = await broker.call("GET", f"/api/users/{quote(user, safe='')}/permissions")
    own = [(each["configure"], each["write"], each["read"]) for each in granted if each["vhost"] == vhost]
    if own != [EVERYTHING]:
        raise UnusableLink("amqp_urls", f"the user {user!r} needs all permissions in the virtual host {vhost!r}")


@asynccontextmanager
async def probe_queue(broker: Broker, link: BrokerLink) -> AsyncGenerator[str]:
    """Make a queue by the management API, which the addresses have to show, too. Raises BrokerAway."""
    name = f"mp.probe.{secrets.token_hex(8)}"
    path = f"/api/queues/{quote(link.broker.vhost, safe='')}/{name}"
    arguments = {"x-expires": EXPIRES_MS, "x-queue-type": "classic"}
    await broker.call("PUT", path, json={"durable": True, "auto_delete": False, "arguments": arguments})
    try:
        yield name
    finally:
        await broker.call("DELETE", path)


def check_login(result: LoginResult) -> None:
    """Judge a login whose queue is the probe. Raises UnusableLink."""
    if result.state != "accepted":
        raise UnusableLink("amqp_urls", f"{result.endpoint}: {result.reason or result.state}")
    if result.consumers is None:
        reason = f"the management API is that of another broker than {result.endpoint}, or of another virtual host"
        raise UnusableLink("management_urls", reason)


async def shares_queues(one: BrokerLink, other: BrokerLink) -> bool:
    """Whether both links lead to the same virtual host of the same broker. One that is away shares nothing."""
    if one.broker.vhost != other.broker.vhost:
        return False
    brokers = Broker(one.management), Broker(other.management)
    try:
        return await is_same_broker(*brokers)
    except BrokerAway as error:
        log.warning("broker_link.not_compared", reason=error.reason)
        return False
    finally:
        for broker in brokers:
            await broker.close()


async def is_same_broker(one: Broker, other: Broker) -> bool:
    """Whether both management APIs are those of one broker or cluster. Raises BrokerAway.

    A mark that is made by one of them is looked for by the other: names of brokers and clusters may be equal by chance.
    """
    name = f"mp-probe-{secrets.token_hex(8)}"
    await one.call("PUT", f"/api/global-parameters/{name}", json={"name": name, "value": "maybe-proxy"})
    try:
        return name in [each["name"] for each in await other.call("GET", "/api/global-parameters")]
    finally:
        await one.call("DELETE", f"/api/global-parameters/{name}")
