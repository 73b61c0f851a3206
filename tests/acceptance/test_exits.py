"""Exits in a real cluster: what the API says when a node's host has no such address, or has lost it."""

from typing import Any

from tests.acceptance.conftest import eventually, is_in, shown
from tests.cluster.cluster import Cluster, succeeded
from tests.cluster.networks import ip

FIRST, SECOND = "203.0.113.8", "203.0.113.9"
PREFIX = "2001:db8:77:1::/64"
WITHIN_S = 40.0


def hosts_ip(fleet: Cluster, *words: str) -> None:
    """ip(8) on the first node's host."""
    with fleet.networks["node-1"].entered():
        ip(*words)


async def prepared(fleet: Cluster) -> int:
    """The first node, on a host that lacks both exit addresses and the prefix that are declared for it."""
    node_id = fleet.nodes["node-1"].id
    assert node_id is not None
    exits = {"addresses": [FIRST, SECOND], "ipv6_prefixes": [PREFIX]}
    succeeded(await fleet.api.patch(f"/nodes/{node_id}", json={"exits": exits}))
    await fleet.set_apart("node-1")
    return node_id


async def made(fleet: Cluster, node_id: int, exit_: dict[str, Any]) -> dict[str, Any]:
    wish = {"node_ids": [node_id], "exit": exit_}
    return succeeded(await fleet.api.post("/proxies", json=wish, headers={"Prefer": "wait=10"})).json()


async def becomes(fleet: Cluster, proxy: dict[str, Any], state: str) -> dict[str, Any]:
    async def there() -> bool:
        return await is_in(fleet, proxy, state)

    await eventually(there, WITHIN_S)
    return (await shown(fleet, proxy))["status"]


async def test_a_proxy_fails_with_the_remedy_until_its_address_is_there_and_again_when_it_is_lost(fleet: Cluster):
    node_id = await prepared(fleet)
    proxy = await made(fleet, node_id, {"mode": "address", "address": FIRST})
    status = await becomes(fleet, proxy, "failed")
    assert f"ip address add {FIRST}" in status["reason"]
    for word, state in (("add", "running"), ("del", "failed"), ("add", "running")):
        hosts_ip(fleet, "address", word, f"{FIRST}/32", "dev", "lo")
        await becomes(fleet, proxy, state)


async def test_a_prefix_that_is_not_routed_fails_until_it_is(fleet: Cluster):
    node_id = await prepared(fleet)
    proxy = await made(fleet, node_id, {"mode": "ipv6_random"})
    assert "ip -6 route add local" in (await becomes(fleet, proxy, "failed"))["reason"]
    hosts_ip(fleet, "-6", "route", "add", "local", PREFIX, "dev", "lo")
    await becomes(fleet, proxy, "running")
    hosts_ip(fleet, "-6", "route", "del", "local", PREFIX, "dev", "lo")
    await becomes(fleet, proxy, "failed")


async def test_a_rotation_to_an_address_that_is_not_there_fails_and_the_former_one_serves_on(fleet: Cluster):
    node_id = await prepared(fleet)
    hosts_ip(fleet, "address", "add", f"{FIRST}/32", "dev", "lo")
    proxy = await made(fleet, node_id, {"mode": "address", "address": FIRST})
    await becomes(fleet, proxy, "running")
    asked = succeeded(await fleet.api.post(f"/proxies/{proxy['id']}/rotate", json={"what": ["exit"]})).json()

    async def failed() -> bool:
        rotation = succeeded(await fleet.api.get(f"/rotations/{asked['rotation']['id']}")).json()
        return rotation["state"] == "failed" and SECOND in rotation["reason"]

    await eventually(failed, WITHIN_S)
    await becomes(fleet, proxy, "running")
    assert (await shown(fleet, proxy))["exit"]["address"] == FIRST
