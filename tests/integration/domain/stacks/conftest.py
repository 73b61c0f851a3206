"""Stacks on the API, over two nodes at one location."""

from typing import Any

import pytest

from tests.integration.conftest import Api


async def stack(api: Api, count: int = 4, name: str = "shop", status: int = 201, **more: Any) -> dict[str, Any]:
    """A stack on the nodes 1 and 2, unless its proxy is told."""
    body = {"name": name, "count": count, "proxy": {"node_ids": [1, 2]}, **more}
    return await api.call("POST", "/stacks", status, json=body)


async def named(api: Api, count: int, status: int = 200, **more: Any) -> dict[str, Any]:
    body = {"count": count, "proxy": {"node_ids": [1, 2]}, **more}
    return await api.call("PUT", "/stacks/by-name/shop", status, json=body)


async def changed(api: Api, status: int = 200, **what: Any) -> dict[str, Any]:
    return await api.call("PATCH", "/stacks/1", status, json=what)


async def members(api: Api, stack_id: int = 1) -> list[dict[str, Any]]:
    return (await api.call("GET", f"/proxies?stack_id={stack_id}&limit=1000", 200))["items"]


async def revisions(api: Api) -> list[int]:
    return [row["revision"] for row in await api.rows.fetch("SELECT revision FROM nodes ORDER BY id")]


@pytest.fixture
async def fleet(api: Api) -> Api:
    """Two nodes at one location."""
    place = await api.location()
    await api.node(location_id=place)
    await api.node(location_id=place)
    return api
