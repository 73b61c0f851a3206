"""Read, change and remove enrolled nodes."""

from collections.abc import Mapping
from typing import Any

from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.events.schemas import EventType
from master.domain.nodes.schemas import Node, NodeFilter, NodeList, NodePage, NodePatch, node_from_row
from master.domain.proxies import removal
from master.domain.proxies import service as proxies
from master.domain.proxies.removal import scaled_down_events
from master.errors import ExitsUsed, PortsExcluded, StillUsed, invalid_at, port_taken
from master.placement.candidates import exit_obstacle
from master.schemas.fields import port_bounds
from master.schemas.filters import filter_parameters
from master.schemas.merge_patch import differing, merged

STATE_EVENTS: Mapping[str, EventType] = {
    "active": "node.activated",
    "draining": "node.drained",
    "disabled": "node.disabled",
}

PLAIN = ("name", "ip", "location_id", "labels", "state", "pinned_version")
"""The settings that are columns of their own names."""


async def get(session: Session, id_: int) -> Node:
    """Return one node. Raises NotFound."""
    return node_from_row(existing(await session.row("nodes.select_one", id=id_), "node", id_))


async def page(session: Session, query: NodeList) -> NodePage:
    """Return a page of the nodes that match."""
    where = filter_parameters(query, NodeFilter)
    rows = await session.rows(f"nodes.select_page by {query.sort}", **where, **query.position)
    return NodePage(items=[node_from_row(row) for row in rows], next=query.next_after(rows))


async def change(session: Session, id_: int, body: NodePatch) -> Node:
    """Change a node.

    Raises NotFound, Invalid, PortsExcluded, PortTaken, ExitsUsed; the transaction's end raises NameTaken.
    """
    given = body.given()
    await proxies.lock_placement_among(session, node_ids=[id_])
    row = existing(await session.row("nodes.lock_for_update", id=id_), "node", id_)
    before = settings(row)
    after = merged(before, given)
    if after == before:
        return await get(session, id_)
    await check(session, id_, before, after)
    if after["exits"] != before["exits"]:
        await check_exits(session, row, after["exits"])
    await session.execute("nodes.update", id=id_, **columns(after))
    if after["state"] == "disabled" != before["state"]:
        await removal.record_removals(session, {id_: await session.value("nodes.count_enabled", id=id_)})
    await record_events(session, change_events(id_, before, after))
    return await get(session, id_)


def settings(row: Row) -> dict[str, Any]:
    """Return the settings of a node that a request may change, in the form of the API."""
    plain = {name: row[name] for name in PLAIN}
    return {
        **plain,
        "limits": {"max_proxies": row["max_proxies"], "ports": f"{row['port_from']}-{row['port_to']}"},
        "exits": {"addresses": row["exit_addresses"], "ipv6_prefixes": row["ipv6_prefixes"]},
    }


def columns(after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as columns of the table."""
    low, high = port_bounds(after["limits"]["ports"])
    plain = {name: after[name] for name in PLAIN}
    limits = {"max_proxies": after["limits"]["max_proxies"], "port_from": low, "port_to": high}
    exits = {"exit_addresses": after["exits"]["addresses"], "ipv6_prefixes": after["exits"]["ipv6_prefixes"]}
    return {**plain, **limits, **exits}


async def check(session: Session, id_: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Check that the node can have these settings. Raises Invalid, PortsExcluded, PortTaken."""
    if after["location_id"] not in (None, before["location_id"]):
        await check_location(session, after["location_id"])
    if after["limits"]["ports"] != before["limits"]["ports"]:
        await check_range(session, id_, after["limits"]["ports"])
    if after["ip"] != before["ip"]:
        await session.execute("placement.lock_ip", ip=after["ip"])
        shared = await session.row("nodes.select_shared_ports", id=id_, ip=after["ip"])
        if shared is not None:
            raise port_taken(shared["port"], shared["by_proxy"], shared["node_id"])


async def check_location(session: Session, location_id: int) -> None:
    """Check that the location exists, and keep it until the transaction ends. Raises Invalid."""
    if not await session.rows("placement.select_locations", ids=[location_id]):
        raise invalid_at(f"there is no location {location_id}", "/location_id")


async def check_range(session: Session, id_: int, ports: str) -> None:
    """Check that the range includes the ports of all proxies. Raises PortsExcluded."""
    low, high = port_bounds(ports)
    count = await session.value("nodes.count_proxies_outside", id=id_, port_from=low, port_to=high)
    if count:
        detail = f"{count} proxies of node {id_} have ports outside {ports}"
        raise PortsExcluded(detail, {"count": count, "node_id": id_, "ports": ports})


async def check_exits(session: Session, row: Row, exits: Mapping[str, Any]) -> None:
    """Check that the node can still provide the exits of its proxies. Raises ExitsUsed."""
    local = [*row["addresses"], *exits["addresses"]]
    used = await session.rows("nodes.select_exits", id=row["id"])
    missing = [
        (one["count"], reason) for one in used if (reason := exit_obstacle(one["exit"], local, exits["ipv6_prefixes"]))
    ]
    if missing:
        count = sum(count for count, _ in missing)
        detail = f"{count} proxies of node {row['id']} use an exit that the node would no longer have: {missing[0][1]}"
        raise ExitsUsed(detail, {"count": count, "node_id": row["id"]})


def change_events(id_: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[NewEvent]:
    """Return an event for a new state and one for all other changes."""
    found: list[NewEvent] = []
    if others := [name for name in differing(before, after) if name != "state"]:
        found.append(NewEvent(type="node.updated", node_id=id_, details={"changed": others}))
    if after["state"] != before["state"]:
        found.append(NewEvent(type=STATE_EVENTS[after["state"]], node_id=id_, details={"before": before["state"]}))
    return found


async def remove(session: Session, id_: int, *, with_proxies: bool) -> None:
    """Remove a node and, if requested, its proxies. Raises NotFound, and StillUsed when it has proxies."""
    await proxies.lock_placement_among(session, node_ids=[id_])
    row = existing(await session.row("nodes.lock_for_update", id=id_), "node", id_)
    on_node = [proxy["id"] for proxy in await session.rows("proxies.select_on_node", node_id=id_)]
    if on_node and not with_proxies:
        raise StillUsed(f"{len(on_node)} proxies are on node {id_}", {"count": len(on_node), "node_id": id_})
    removed = await removal.delete_rows(session, on_node, ())
    await session.execute("nodes.delete", id=id_)
    event = NewEvent(type="node.removed", node_id=id_, details={"name": row["name"], "proxies": len(on_node)})
    await record_events(session, [*removed.events, *await scaled_down_events(session, removed), event])
