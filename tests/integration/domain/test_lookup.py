"""Who had an endpoint or an exit address, at any time that is remembered."""

from datetime import timedelta
from ipaddress import IPv6Address
from typing import Any

import pytest

from master.db.database import Database
from master.domain.lookup import service as lookups
from shared.engine.permutation import Permutation
from tests.integration.conftest import Api

PREFIX = "2001:db8:7::/64"
SHORT = "2001:db8:8::/112"


async def looked(api: Api, **asked: object) -> dict[str, Any]:
    return await api.call("GET", "/lookup", 200, params=asked)


async def who(api: Api, **asked: object) -> list[int]:
    return [one["proxy_id"] for one in (await looked(api, **asked))["items"]]


async def clock(api: Api) -> str:
    return (await api.rows.fetchval("SELECT clock_timestamp()")).isoformat()


async def drawing(api: Api, prefix: str = PREFIX) -> tuple[int, int]:
    """A node that draws out of the prefix, and its proxy."""
    node = await api.node()
    await api.call("PATCH", f"/nodes/{node}", 200, json={"exits": {"ipv6_prefixes": [prefix]}})
    return node, (await api.proxy(node, exit={"mode": "ipv6_random"}))["id"]


async def address(api: Api, node: int, proxy: int, connection: int, prefix: str = PREFIX) -> str:
    key = await api.rows.fetchval("SELECT exit_key FROM nodes WHERE id = $1", node)
    return str(IPv6Address(Permutation(prefix, bytes.fromhex(key)).address(proxy, connection)))


async def test_an_endpoint_is_its_present_proxys(api: Api):
    node = await api.node(ip="10.0.0.7")
    made = await api.proxy(node, port=20500, username="alice", name="first")
    [held] = (await looked(api, ip="10.0.0.7", port=20500))["items"]
    assert (held["proxy_id"], held["node_id"], held["username"]) == (made["id"], node, "alice")
    assert (held["name"], held["until"]) == ("first", None)
    assert await who(api, ip="10.0.0.7", port=20501) == []


async def test_an_endpoint_was_whoevers_it_was_at_that_time(api: Api):
    node = await api.node(ip="10.0.0.7")
    before = await clock(api)
    first = (await api.proxy(node, port=20500))["id"]
    then = await clock(api)
    await api.call("DELETE", f"/proxies/{first}", 204)
    between = await clock(api)
    second = (await api.proxy(node, port=20500))["id"]
    found = [await who(api, ip="10.0.0.7", port=20500, at=at) for at in (before, then, between)]
    assert found == [[], [first], []]
    assert await who(api, ip="10.0.0.7", port=20500) == [second]


@pytest.mark.parametrize(
    ("wish", "asked"), [({"port": 20600}, {"port": 20500}), ({"username": "bob"}, {"port": 20500})]
)
async def test_a_change_ends_what_was_and_keeps_it(api: Api, wish: dict[str, Any], asked: dict[str, Any]):
    proxy = (await api.proxy(await api.node(ip="10.0.0.7"), port=20500, username="alice"))["id"]
    then = await clock(api)
    await api.call("PATCH", f"/proxies/{proxy}", 200, json=wish)
    [was] = (await looked(api, ip="10.0.0.7", at=then, **asked))["items"]
    [now] = (await looked(api, ip="10.0.0.7", port=wish.get("port", 20500)))["items"]
    assert (was["username"], was["port"]) == ("alice", 20500)
    assert was["until"] == now["since"]
    assert now["until"] is None
    assert wish.items() <= now.items()


async def test_what_makes_no_difference_begins_nothing(api: Api):
    proxy = (await api.proxy(await api.node()))["id"]
    await api.call("PATCH", f"/proxies/{proxy}", 200, json={"password": "another", "labels": {"a": "b"}, "name": "n"})
    assert await api.rows.fetch("SELECT name, until FROM endpoint_history") == [("n", None)]


async def test_a_node_that_gets_another_ip_takes_its_endpoints_along(api: Api):
    node = await api.node(ip="10.0.0.7")
    proxy = (await api.proxy(node, port=20500))["id"]
    then = await clock(api)
    await api.call("PATCH", f"/nodes/{node}", 200, json={"ip": "10.0.0.8"})
    assert await who(api, ip="10.0.0.7", port=20500) == []
    assert await who(api, ip="10.0.0.8", port=20500) == [proxy]
    assert await who(api, ip="10.0.0.7", port=20500, at=then) == [proxy]


async def test_an_exit_address_is_found_without_a_port_and_by_default_is_the_nodes(api: Api):
    node = await api.node(ip="10.0.0.7")
    await api.call("PATCH", f"/nodes/{node}", 200, json={"exits": {"addresses": ["10.0.9.9"]}})
    plain = (await api.proxy(node))["id"]
    fixed = (await api.proxy(node, exit={"mode": "address", "address": "10.0.9.9"}))["id"]
    assert await who(api, ip="10.0.0.7") == [plain]
    assert await who(api, ip="10.0.9.9") == [fixed]
    assert (await looked(api, ip="10.0.9.9"))["drawn"] == []


async def test_a_random_address_tells_whose_connection_it_was(api: Api):
    node, proxy = await drawing(api)
    told = await looked(api, ip=await address(api, node, proxy, 41))
    [drawn] = told["drawn"]
    assert (drawn["node_id"], drawn["prefix"], drawn["connection"], drawn["rest"]) == (node, PREFIX, 41, proxy)
    assert [one["proxy_id"] for one in drawn["proxies"]] == [proxy]


async def test_an_address_that_was_never_drawn_is_nobodys(api: Api):
    node, proxy = await drawing(api)
    [drawn] = (await looked(api, ip=await address(api, node, proxy + 1, 0)))["drawn"]
    assert drawn["proxies"] == []
    assert (await looked(api, ip="2001:db8:ffff::1"))["drawn"] == []


async def test_a_random_address_is_decoded_after_its_proxy_node_and_key_are_gone(api: Api):
    node, proxy = await drawing(api)
    ip, then = await address(api, node, proxy, 7), await clock(api)
    await api.rows.execute("UPDATE nodes SET exit_key = repeat('0', 32) WHERE id = $1", node)
    await api.call("DELETE", f"/nodes/{node}?proxies=delete", 204)
    found = (await looked(api, ip=ip, at=then))["drawn"]
    assert [proxy] in [[one["proxy_id"] for one in drawn["proxies"]] for drawn in found if drawn["connection"] == 7]
    assert not any(drawn["proxies"] for drawn in (await looked(api, ip=ip))["drawn"])


async def test_a_small_prefix_may_mean_several_proxies(api: Api):
    node, first = await drawing(api, SHORT)
    await api.rows.execute("SELECT setval(pg_get_serial_sequence('proxies', 'id'), $1)", first + 127)
    second = (await api.proxy(node, exit={"mode": "ipv6_session"}))["id"]
    [drawn] = (await looked(api, ip=await address(api, node, first, 5, SHORT)))["drawn"]
    assert (second, drawn["modulus"]) == (first + 128, 128)
    assert [one["proxy_id"] for one in drawn["proxies"]] == [first, second]


async def test_pages_go_on_where_they_ended(api: Api):
    node = await api.node(ip="10.0.0.7")
    ids = [(await api.proxy(node))["id"] for _ in range(3)]
    page = await looked(api, ip="10.0.0.7", limit=2)
    rest = await looked(api, ip="10.0.0.7", limit=2, after=page["next"])
    assert [one["proxy_id"] for one in (*page["items"], *rest["items"])] == ids
    assert rest["next"] is None


@pytest.mark.parametrize(
    "asked", [{}, {"ip": "here"}, {"ip": "fe80::1%eth0"}, {"ip": "::1", "port": 0}, {"ip": "::1", "at": "x"}]
)
async def test_what_cannot_be_looked_up_is_refused(api: Api, asked: dict[str, object]):
    await api.call("GET", "/lookup", 422, params=asked)


async def test_what_ended_long_ago_is_forgotten_and_what_lasts_is_not(api: Api, rows: Database):
    node, proxy = await drawing(api)
    stays = (await api.proxy(node))["id"]
    await api.call("DELETE", f"/proxies/{proxy}", 204)
    await api.rows.execute(
        "UPDATE endpoint_history SET since = since - interval '9 days', until = until - interval '8 days'"
    )
    await api.rows.execute("UPDATE nodes SET exit_key = repeat('0', 32) WHERE id = $1", node)
    async with rows.session() as session:
        await lookups.forget(session, timedelta(days=7))
    assert await api.rows.fetch("SELECT proxy_id FROM endpoint_history") == [(stays,)]
    assert await api.rows.fetchval("SELECT count(*) FROM exit_keys") == 0


async def test_while_a_proxy_is_rotated_both_its_endpoints_are_its(api: Api):
    node = await api.node(ip="10.0.0.7")
    proxy = (await api.proxy(node, port=20500))["id"]
    await api.rows.execute(
        "INSERT INTO endpoints (proxy_id, rotation_id, node_id, port, exit, role)"
        " VALUES ($1, 1, $2, 20501, '{}', 'next')",
        proxy,
        node,
    )
    assert [await who(api, ip="10.0.0.7", port=port) for port in (20500, 20501)] == [[proxy], [proxy]]
    then = await clock(api)
    await api.rows.execute("DELETE FROM endpoints")
    assert [await who(api, ip="10.0.0.7", port=port) for port in (20500, 20501)] == [[proxy], []]
    assert await who(api, ip="10.0.0.7", port=20501, at=then) == [proxy]
