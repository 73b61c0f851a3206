"""Ports of proxies: whether one may be had, and another one where somebody else has it."""

from collections.abc import Sequence

from master.db.database import Row, Session
from master.domain.events.log import NewEvent
from master.errors import PortOutsideRange, port_taken
from shared.proxies import NodeId


async def check_port(session: Session, node: Row, port: int) -> None:
    """Raises PortOutsideRange or PortTaken; locks the ip of the node, whose row is locked already."""
    if not node["port_from"] <= port <= node["port_to"]:
        raise port_outside(port, node["id"], f"{node['port_from']}-{node['port_to']}")
    await session.execute("placement.lock_ip", ip=node["ip"])
    holder = await session.row("placement.port_holder", node_id=node["id"], port=port)
    if holder is not None:
        raise port_taken(port, holder["id"], holder["node_id"])


async def move_ports(session: Session, node_id: NodeId, ids: Sequence[int]) -> list[NewEvent]:
    """Give these proxies of a node, whose row is locked already, other ports; what happened, to be recorded."""
    if not ids:
        return []
    node = await session.row("nodes.select_one", id=node_id)
    await session.execute("placement.lock_ip", ip=node["ip"] if node else "")
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
    """Names the range."""
    members = {"node_id": node_id, "port": port, "ports": ports}
    return PortOutsideRange(f"port {port} is outside the range {ports} of node {node_id}", members)
