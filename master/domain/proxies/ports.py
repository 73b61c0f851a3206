"""Ports of proxies: check a requested one, and give proxies other ones."""

from collections.abc import Sequence

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.errors import PortOutsideRange, port_taken
from shared.proxies import NodeId


async def check_port(session: Session, node: Row, port: int) -> None:
    """Check the port and lock the node's ip; the node's row is locked. Raises PortOutsideRange, PortTaken."""
    if not node["port_from"] <= port <= node["port_to"]:
        raise port_outside(port, node["id"], f"{node['port_from']}-{node['port_to']}")
    await session.execute("placement.lock_ip", ip=node["ip"])
    holder = await session.row("placement.port_holder", node_id=node["id"], port=port)
    if holder is not None:
        raise port_taken(port, holder["id"], holder["node_id"])


async def move_ports(session: Session, node_id: NodeId, ids: Sequence[int]) -> list[NewEvent]:
    """Give proxies of a node, whose row is locked, other ports. Return the events to record."""
    if not ids:
        return []
    for node in await session.rows("placement.lock_nodes", ids=[node_id]):
        await session.execute("placement.lock_ip", ip=node["ip"])
    rows = await session.rows("proxies.move_ports", node_id=node_id, ids=list(ids))
    return [
        NewEvent(
            type="proxy.moved",
            proxy_id=row["id"],
            node_id=node_id,
            details={"before": row["before"], "port": row["port"], "version": row["version"]},
        )
        for row in rows
    ]


def port_outside(port: int, node_id: NodeId, ports: str) -> PortOutsideRange:
    """Return the conflict, with the range of the node."""
    members = {"node_id": node_id, "port": port, "ports": ports}
    return PortOutsideRange(f"port {port} is outside the range {ports} of node {node_id}", members)
