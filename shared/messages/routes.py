"""Names at the broker: exchanges, queues, logins and routing keys."""

from shared.messages.bodies import MessageType
from shared.proxies import NodeId

NODE_EXCHANGE = "mp.node"
MASTER_EXCHANGE = "mp.master"
MASTER_QUEUE = "mp.master"
DEAD_QUEUE = "mp.dead"


def node_queue(node_id: NodeId) -> str:
    """The queue that only this node reads."""
    return f"mp.node.{node_id}"


def node_login(node_id: NodeId) -> str:
    """The broker's user of this node; no character of it means anything in a regular expression."""
    return f"node-{node_id}"


def report_key(node_id: NodeId, type_: MessageType) -> str:
    """The routing key of a message from this node; the broker lets it use no other."""
    return f"{node_login(node_id)}.{type_}"
