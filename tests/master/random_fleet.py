"""A fleet of several customers that changes at random, with ids that tell of what kind they are."""

import random
from typing import Any

from tests.integration.conftest import Api

KINDS = {"proxies": 1, "nodes": 2, "stacks": 3, "locations": 4, "links": 5, "rotations": 6}
"""Ids of proxies begin with 11, those of nodes with 22, and so on; all have eight digits."""
CUSTOMERS = ("7", "8", "70")


async def begin(api: Api) -> None:
    """Three locations, and five nodes, the last of which has no location; and a log too long to be walked."""
    for table, digit in KINDS.items():
        first = int(f"{digit}{digit}000001")
        await api.rows.execute("SELECT setval(pg_get_serial_sequence($1, 'id'), $2, false)", table, first)
    locations = [await api.location(f"place {number}") for number in range(3)]
    for location_id in (*locations, locations[0], None):
        await api.node(location_id=location_id)
    await api.rows.execute(
        "INSERT INTO events (type, actor, node_id) SELECT 'node.online', 'node 22000001', 22000001"
        " FROM generate_series(1, 2000)"
    )


def labels(draw: random.Random) -> dict[str, str]:
    """Labels with a customer, or without one."""
    return {"customer": draw.choice(CUSTOMERS)} if draw.random() < 0.8 else {"tier": "free"}


async def ids(api: Api, table: str) -> list[int]:
    return [row["id"] for row in await api.rows.fetch(f"SELECT id FROM {table} ORDER BY id")]


async def create_proxy(api: Api, draw: random.Random) -> None:
    await api.proxy(draw.choice(await ids(api, "nodes")), labels=labels(draw))


async def create_stack(api: Api, draw: random.Random) -> None:
    own = labels(draw)
    places = draw.sample(await ids(api, "locations"), draw.choice((1, 1, 2)))
    template = {"location_ids": places, "labels": draw.choice((own, own, labels(draw)))}
    number = await api.rows.fetchval("SELECT count(*) FROM events")
    body = {"name": f"stack {number}", "count": draw.randint(0, 3), "labels": own, "proxy": template}
    await api.call("POST", "/stacks", 201, json=body)


async def relabel(api: Api, draw: random.Random) -> None:
    body = {"labels": {"customer": None, **labels(draw)}}
    await api.http.patch(f"/proxies/{draw.choice(await ids(api, 'proxies') or [1])}", json=body)


async def remove(api: Api, draw: random.Random) -> None:
    await api.http.delete(f"/proxies/{draw.choice(await ids(api, 'proxies') or [1])}")


async def move(api: Api, draw: random.Random) -> None:
    """Move a proxy as a drain does it when there is no time for a rotation."""
    node = draw.choice(await ids(api, "nodes"))
    await api.rows.execute(
        "UPDATE proxies SET node_id = $2, port = lowest_free_port($2) WHERE id = $1 AND node_id <> $2",
        draw.choice(await ids(api, "proxies") or [1]),
        node,
    )


async def rotate(api: Api, draw: random.Random) -> None:
    body = {"what": draw.choice((["port"], ["node"], ["credentials"]))}
    await api.http.post(f"/proxies/{draw.choice(await ids(api, 'proxies') or [1])}/rotate", json=body)


async def use(api: Api, draw: random.Random) -> None:
    """Usage in this hour, with the place and the stack of the proxy."""
    await api.rows.execute(
        "INSERT INTO usage_hours (proxy_id, node_id, hour, location_id, stack_id, received_bytes, sent_bytes,"
        " connections, refused)"
        " SELECT p.id, p.node_id, date_trunc('hour', now()), n.location_id, p.stack_id, $1::bigint, 1, 1, '{}'"
        " FROM proxies p JOIN nodes n ON n.id = p.node_id ORDER BY md5(p.id::text || $1::bigint::text) LIMIT 2"
        " ON CONFLICT DO NOTHING",
        draw.randint(1, 999),
    )


async def link(api: Api, draw: random.Random) -> None:
    filter_ = {"node_id": [draw.choice(await ids(api, "nodes"))]}
    await api.call("POST", "/links", 201, json={"kind": "list", "filter": filter_})


ACTS = (create_proxy, create_proxy, create_proxy, create_stack, relabel, remove, move, rotate, use, use, link)


async def happen(api: Api, draw: random.Random, count: int) -> None:
    """Let so many things happen, each proxy being one of the least that a test can look at."""
    for _ in range(count):
        await draw.choice(ACTS)(api, draw)
    for node_id in await ids(api, "nodes"):
        await api.report(node_id, online=draw.random() < 0.8)


def some_of(draw: random.Random, of: list[Any]) -> list[Any]:
    return draw.sample(of, min(2, len(of)))
