"""A proxy's secrets go only to its own node: who may speak for a node, and so be answered in its queue."""

import itertools

from master.sync.inbox import Forged, sender
from shared.bus.envelopes import Incoming
from shared.messages.bodies import Header

USERS = (None, "node-1", "node-2", "node-11", "master")
TYPES = (None, "check-sync", "need-sync", "sync", "report", "upgrade", "dead")
KEYS = ("node-1.need-sync", "node-1.report", "node-1.sync", "node-2.need-sync", "node-2.report", "node-1", "")
CLUSTERS = ("c", "d")


def is_accepted(user: str | None, type_: str | None, key: str, node: int, cluster: str) -> bool:
    header = Header(v=1, cluster=cluster, node=node, rev=1)
    message = incoming(user, type_, key)
    try:
        return sender(message, header, "c") == node
    except Forged:
        return False


def incoming(user: str | None, type_: str | None, key: str) -> Incoming:
    return Incoming(key=key, type=type_, body=b"[]", headers={}, user_id=user, message_id="m", round="r")


def test_only_what_agrees_in_user_type_key_node_and_cluster_is_of_a_node():
    every = itertools.product(USERS, TYPES, KEYS, (1, 2), CLUSTERS)
    accepted = {one for one in every if is_accepted(*one)}
    assert accepted == {
        (f"node-{node}", type_, f"node-{node}.{type_}", node, "c")
        for node in (1, 2)
        for type_ in ("need-sync", "report")
    }
