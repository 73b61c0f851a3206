"""TLS with clients, on the API, in records and in checks."""

import json
from pathlib import Path
from typing import Any

import pytest

from master.db.database import Database
from master.domain.checks.probe import probe, target_of
from master.domain.checks.results import Endpoint
from master.sync.inbox import record_of
from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.origins import certificate
from tests.clients.streams import HERE, LOCAL
from tests.clients.streams import record as proxy_record
from tests.engines.tls import pem_of
from tests.integration.conftest import Api

CERTIFICATE = {
    "pem": "-----BEGIN CERTIFICATE-----",
    "names": ["192.0.2.7"],
    "expires_at": "2030-01-01T00:00:00Z",
    "self_made": True,
    "problem": "",
}


async def record(rows: Database, node: int, id_: int) -> dict[str, Any]:
    """What the node is told."""
    async with rows.session() as session:
        [row] = await session.rows("sync.desired_records", node_id=node, ids=[id_])
    return json.loads(record_of(row))


@pytest.mark.parametrize(
    ("protocol", "schemes"), [("http", ["https"]), ("socks5", ["socks5+tls"]), ("mixed", ["https", "socks5"])]
)
async def test_the_urls_of_a_proxy_show_that_it_speaks_tls(api: Api, protocol: str, schemes: list[str]) -> None:
    made = await api.proxy(await api.node(), protocol=protocol, tls=True)
    assert made["tls"]
    assert [url.partition("://")[0] for url in made["urls"]] == schemes


async def test_a_record_names_tls_only_where_it_is_spoken(api: Api, rows: Database) -> None:
    node = await api.node()
    plain, secure = await api.proxy(node), await api.proxy(node, tls=True)
    assert "tls" not in await record(rows, node, plain["id"])
    assert (await record(rows, node, secure["id"]))["tls"]
    assert ProxyRecord.model_validate(await record(rows, node, secure["id"])).tls


async def test_switching_tls_is_a_new_version_with_another_checksum(api: Api) -> None:
    made = await api.proxy(await api.node())
    before = await api.rows.fetchval("SELECT content FROM proxies")
    changed = await api.call("PATCH", f"/proxies/{made['id']}", 200, json={"tls": True})
    assert (changed["version"], changed["tls"]) == (2, True)
    secure = await api.rows.fetchval("SELECT content FROM proxies")
    await api.call("PATCH", f"/proxies/{made['id']}", 200, json={"tls": False})
    assert await api.rows.fetchval("SELECT content FROM proxies") == before != secure


async def test_3proxy_cannot_speak_it(api: Api) -> None:
    node = await api.node(engines=("builtin", "3proxy"))
    body = {"node_ids": [node], "engine": "3proxy", "tls": True}
    refused = await api.call("POST", "/proxies", 422, json=body)
    assert refused["errors"][0]["pointer"] == "/tls"
    made = await api.proxy(node, engine="3proxy")
    await api.call("PATCH", f"/proxies/{made['id']}", 422, json={"tls": True})
    await api.call("POST", "/stacks", 422, json={"name": "shop", "count": 1, "proxy": body})


async def test_a_stack_and_a_filter_switch_it_for_many(api: Api) -> None:
    node = await api.node()
    body = {"name": "shop", "count": 2, "proxy": {"node_ids": [node], "tls": True}}
    stack = await api.call("POST", "/stacks", 201, json=body)
    assert stack["proxy"]["tls"]

    async def found() -> list[bool]:
        return [one["tls"] for one in (await api.call("GET", "/proxies", 200))["items"]]

    assert await found() == [True, True]
    await api.call("PATCH", "/proxies?expect=2&all=true", 200, json={"tls": False})
    assert await found() == [False, False]
    await api.call("PATCH", f"/stacks/{stack['id']}", 200, json={"proxy": {"protocol": "http"}})
    assert await found() == [False, False]
    await api.call("PATCH", f"/stacks/{stack['id']}", 200, json={"proxy": {"tls": False}})
    await api.call("PATCH", f"/stacks/{stack['id']}", 200, json={"proxy": {"tls": True}})
    assert await found() == [True, True]


async def test_an_export_has_https_urls(api: Api) -> None:
    await api.proxy(await api.node(), tls=True, username="ann", password="secret-1")
    answer = await api.http.get("/proxies/export?format=url")
    assert answer.text.startswith("https://ann:secret-1@")


async def test_a_node_shows_its_certificate(api: Api) -> None:
    node = await api.node()
    assert (await api.call("GET", f"/nodes/{node}", 200))["tls_certificate"] is None
    stored = json.dumps(CERTIFICATE)
    await api.rows.execute("UPDATE node_status SET tls_certificate = $1 WHERE node_id = $2", stored, node)
    shown = (await api.call("GET", f"/nodes/{node}", 200))["tls_certificate"]
    assert shown == CERTIFICATE | {"problem": None}


async def test_a_check_speaks_tls(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1, allow_destinations=LOCAL) as engine:
        await engine.use_certificate(pem_of(made))
        for number, protocol in enumerate(("http", "socks5", "mixed"), 1):
            await engine.start(proxy := proxy_record(number, protocol=protocol, tls=True))
            endpoint = Endpoint(
                host=HERE,
                port=proxy.port,
                protocol=protocol,
                tls=True,
                engine="builtin",
                allow_ips=(),
                username="alice",
                password="wonder",
            )
            assert (await probe(endpoint, target_of(None))).failure is None
        await engine.start(plain := proxy_record(9, protocol="http"))
        at_plain = Endpoint(**{name: getattr(endpoint, name) for name in Endpoint.__slots__} | {"port": plain.port})
        failure = (await probe(at_plain, target_of(None))).failure
        assert failure is not None
        assert (failure.step, "does not speak TLS" in failure.reason) == ("connect", True)
        await engine.halt()
