"""Removal of the nodes' logins and queues at a broker that all nodes have left."""

import re
from collections.abc import Sequence
from urllib.parse import quote

import structlog

from master.broker import Broker
from master.broker_links.connections import LinkConnection
from master.broker_links.trial import is_same_broker
from shared.tasks import for_each

log = structlog.get_logger()

AT_ONCE = 8
NODE_LOGIN = re.compile(r"node-[0-9]+")


async def clean_up(left: LinkConnection, others: Sequence[LinkConnection]) -> None:
    """Delete what the nodes had at this broker. Raises BrokerAway.

    The broker may be that of another link under another address, such as when only TLS was turned on: then its logins
    are in use. In another virtual host of it, permissions and queues are not.
    """
    vhost = left.links[0].broker.vhost
    same = [each for each in others if await is_same_broker(left.broker, each.broker)]
    if any(each.links[0].broker.vhost == vhost for each in same):
        return
    quoted = quote(vhost, safe="")
    permissions = await left.broker.call("GET", f"/api/vhosts/{quoted}/permissions")
    users = [each["user"] for each in permissions if NODE_LOGIN.fullmatch(each["user"])]
    if same:
        await for_each(users, lambda user: delete(left.broker, f"/api/permissions/{quoted}/{user}"), at_once=AT_ONCE)
    elif users:
        await left.broker.call("POST", "/api/users/bulk-delete", json={"users": users})
    queues = [f"/api/queues/{quoted}/mp.node.{user.removeprefix('node-')}" for user in users]
    await for_each(queues, lambda path: delete(left.broker, path), at_once=AT_ONCE)
    log.info("broker_link.logins_deleted", addresses=left.links[0].broker.bare_urls, count=len(users))


async def delete(broker: Broker, path: str) -> None:
    """Delete one thing. Raises BrokerAway."""
    await broker.call("DELETE", path)
