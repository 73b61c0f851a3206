"""Names of exchanges, queues, logins and routing keys at the broker."""

from shared.messages.bodies import MessageType
from shared.proxies import NodeId

NODE_EXCHANGE = "mp.node"
MASTER_EXCHANGE = "mp.master"
MASTER_QUEUE = "mp.master"
DEAD_QUEUE = "mp.dead"


def node_queue(node_id: NodeId) -> str:
    """Name the queue that only this node reads."""
    return f"mp.node.{node_id}"


def node_login(node_id: NodeId) -> str:
    """Name the node's user at the broker, without characters that are special in a regular expression."""
    return f"node-{node_id}"


def report_key(node_id: NodeId, type_: MessageType) -> str:
    """Build the routing key of a message from this node; the broker lets it use no other."""
    return f"{node_login(node_id)}.{type_}"
