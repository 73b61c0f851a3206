"""Creation of the demo fleet through the public API."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster.cluster import Cluster, succeeded
from tests.launch.demo.fleet import (
    CUSTOMERS,
    DRAINING,
    EXIT_ADDRESS,
    EXPIRING,
    LOCATIONS,
    NODES,
    SOLD,
    STACKS,
    SUSPENDED,
    bought,
)

Resource = dict[str, Any]


async def build(cluster: Cluster, first_location: int) -> None:
    """Create locations, stacks, customers, single proxies and links. Raises ProgramError."""
    await create_locations(cluster, first_location)
    await place_nodes(cluster)
    for stack in STACKS:
        await post(cluster, "/stacks", stack)
    await sell(cluster)
    await create_singles(cluster)
    await create_links(cluster)


async def create_locations(cluster: Cluster, first: int) -> None:
    """Rename the location that the launcher created, and create the others."""
    succeeded(await cluster.api.patch(f"/locations/{first}", json=LOCATIONS[0]))
    for location in LOCATIONS[1:]:
        await post(cluster, "/locations", location)


async def place_nodes(cluster: Cluster) -> None:
    """Give the nodes their names, locations and labels."""
    for node, planned in zip(cluster.nodes.values(), NODES, strict=False):
        exits = {"exits": {"addresses": [EXIT_ADDRESS]}} if planned.name == DRAINING else {}
        body = {"name": planned.name, "location": planned.location, "labels": dict(planned.labels), **exits}
        succeeded(await cluster.api.patch(f"/nodes/{node.id}", json=body))


async def sell(cluster: Cluster) -> None:
    """Sell proxies to each customer, let those of one customer expire soon, and disable another's."""
    for customer in CUSTOMERS:
        labels = {"customer": str(customer)}
        wanted = {"stack": SOLD[customer % len(SOLD)]}
        await post(cluster, "/proxies/claim", {"count": bought(customer), "filter": wanted, "labels": labels})
    await change_customer(cluster, EXPIRING, {"limits": {"expires_at": from_now(days=3)}})
    await change_customer(cluster, SUSPENDED, {"enabled": False})


async def change_customer(cluster: Cluster, customer: int, change: Resource) -> None:
    """Change all proxies of a customer."""
    await patch(cluster, f"/proxies?label=customer:{customer}&expect={bought(customer)}", change)


async def create_singles(cluster: Cluster) -> None:
    """Create single proxies, each for one state or setting that the stacks do not show."""
    for proxy in (
        {"name": "spent", "location": "Frankfurt", "limits": {"traffic_bytes": 30_000}},
        {"name": "nearly-spent", "location": "Frankfurt", "limits": {"traffic_bytes": 3_000_000}},
        {"name": "pinned-exit", "nodes": [DRAINING], "exit": {"mode": "address", "address": EXIT_ADDRESS}},
        {"name": "no-login", "location": "Frankfurt", "allow_ips": ["127.0.0.1"]},
        {"name": "no-mail", "location": "Frankfurt", "destinations": {"deny_ports": [25, 465, 587]}},
    ):
        await post(cluster, "/proxies", {"protocol": "mixed", "labels": {"tier": "single"}, **proxy})
    over = {"name": "over", "location": "Frankfurt", "limits": {"expires_at": from_now(days=-1)}}
    await post(cluster, "/proxies?allow_past=true", over)


async def create_links(cluster: Cluster) -> None:
    for link in (
        {"kind": "list", "filter": {"label": ["customer:7"], "state": "running"}, "format": "url"},
        {"kind": "list", "filter": {"stack": "eu-http"}, "format": "csv", "expires_at": from_now(days=14)},
        {
            "kind": "rotate",
            "filter": {"label": ["customer:7"]},
            "rotate": {"what": ["credentials"]},
            "min_interval_s": 60,
        },
    ):
        await post(cluster, "/links", link)


async def proxies_of(cluster: Cluster, **query: Any) -> list[Resource]:
    """List the proxies that a filter matches, at most 1,000."""
    return succeeded(await cluster.api.get("/proxies", params={"limit": 1000, **query})).json()["items"]


async def named(cluster: Cluster, name: str) -> Resource:
    """Return the proxy with this name."""
    return (await proxies_of(cluster, name=name))[0]


async def post(cluster: Cluster, path: str, body: Resource) -> Resource:
    return succeeded(await cluster.api.post(path, json=body)).json()


async def patch(cluster: Cluster, path: str, body: Resource) -> None:
    succeeded(await cluster.api.patch(path, json=body))


def from_now(**ago: float) -> str:
    """Return an RFC 3339 time so much later than now."""
    return (datetime.now(UTC) + timedelta(**ago)).isoformat(timespec="seconds")
