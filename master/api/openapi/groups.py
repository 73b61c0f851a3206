"""The groups of operations in the OpenAPI document, in the order in which an operator meets them."""

from collections.abc import Mapping

from litestar.handlers import HTTPRouteHandler

GROUPS: Mapping[str, str] = {
    "locations": "A location is a place where nodes stand, such as a city or a data centre. Create one first: nodes "
    "are enrolled into it, and proxies are placed by it.",
    "nodes": "A node is a host that runs proxies. Start the agent on the host, then enrol the node with the challenge "
    "that the agent prints.",
    "proxies": "A proxy is one HTTP or SOCKS5 server on a node, with its own port, login, limits and exit. Here "
    "proxies are created, changed, removed and exported, one at a time or all that a filter matches.",
    "stacks": "A stack is a group of proxies made from one template and kept at a given number.",
    "rotation": "A rotation changes a proxy's exit, login, port or node. The new endpoint serves before the former one "
    "ends.",
    "checks": "A check connects through a proxy as a client would, and reports how far it came.",
    "upgrades": "An upgrade changes the agents of many nodes to another version, a few at a time, while their proxies "
    "continue to serve. It stops when too many nodes fail.",
    "links": "A link is a secret address that lists or rotates proxies. Whoever has it needs no other permission.",
    "events": "The log of what happened, as pages or as a stream of server-sent events.",
    "webhooks": "A webhook is an address to which the master posts events, in order and at least once each.",
    "usage": "Bytes and connections of proxies, summed up by proxy, stack, node and time.",
    "lookup": "Finds the proxy that had an address at a given time.",
    "search": "Finds anything by name, address or id.",
    "labels": "The keys and values of labels that are in use.",
    "tokens": "A token is what a client sends with each request. It has scopes, and may be for a part of the fleet. "
    "The API is open to everybody until the first token with the scope `admin` exists.",
    "license": "The licence, which limits only what is created; without one everything works without limits.",
    "system": "The masters, what they run on, and their settings.",
    "broker_links": "The broker that masters and nodes use, and moving it elsewhere while everything runs.",
    "monitoring": "Health of this master, and metrics for Prometheus.",
}
"""Each is the package of `master.domain` that holds its routes."""


def group_of(handler: HTTPRouteHandler) -> str:
    """Return the group of a handler: its package."""
    return handler.fn.__module__.split(".")[2]
