"""A proxy that speaks TLS, from the API to a client that verifies its certificate."""

import ssl
from typing import Any

import httpx

from node.data_directory import DataDirectory
from shared.echo import ECHO_HOST
from tests.acceptance.conftest import eventually, made
from tests.cluster.cluster import Cluster, succeeded


async def test_a_client_trusts_a_proxy_by_what_the_api_shows_of_its_node(lone: Cluster) -> None:
    proxy = await made(lone, tls=True)
    certificate = await certificate_of(lone, proxy["node_id"])
    assert (proxy["host"] in certificate["names"], certificate["self_made"]) == (True, True)
    trusting = ssl.create_default_context(cadata=certificate["pem"])
    assert proxy["urls"][0].startswith("https://")
    used = httpx.Proxy(proxy["urls"][0], ssl_context=trusting)
    async with httpx.AsyncClient(proxy=used) as client:
        assert (await client.get(f"http://{ECHO_HOST}/")).status_code == 200
    check = succeeded(await lone.api.post(f"/proxies/{proxy['id']}/check", json={})).json()
    assert check["ok"], check
    other = succeeded(
        await lone.api.patch(f"/proxies/{proxy['id']}", json={"tls": False}, headers={"Prefer": "wait=10"})
    )
    async with httpx.AsyncClient(proxy=other.json()["urls"][0]) as client:
        assert (await client.get(f"http://{ECHO_HOST}/")).status_code == 200
    (node,) = lone.nodes.values()
    for each in DataDirectory(node.data).tls_dir.iterdir():
        assert not each.stat().st_mode & 0o077


async def certificate_of(lone: Cluster, node_id: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def is_reported() -> bool:
        shown = succeeded(await lone.api.get(f"/nodes/{node_id}")).json()["tls_certificate"]
        if shown is not None:
            found.append(shown)
        return bool(found)

    await eventually(is_reported, 10)
    return found[0]
