"""The main job through a client that was generated from the OpenAPI document, against a real master and node."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.openapi import conformance
from tests.openapi.generated_client import Generated, generate


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the client was generated into, once for all tests."""
    folder = tmp_path_factory.mktemp("client")
    generate(conformance.described(), folder)
    return folder


@pytest.fixture
async def api(fleet: Cluster, package: Path) -> AsyncIterator[Generated]:
    made = Generated(package, str(fleet.api.base_url))
    async with made.client:
        yield made


async def test_a_master_gives_the_document_that_the_client_was_generated_from(fleet: Cluster):
    assert (await fleet.api.get("/api-json")).json() == conformance.described()


async def test_a_generated_client_does_the_main_job(api: Generated):
    location = await api.call("create_location", body=api.model("NewLocation", name="Frankfurt", country="DE"))
    for node in (await api.call("list_nodes", **defaults(api, "list_nodes"))).items:
        changed = await api.call("change_node", node.id, body=api.model("NodePatch", location_id=location.id))
        assert changed.location_id == location.id
    body = api.model("NewProxy", location_id=location.id, name="first", labels={"tier": "gold"})
    proxy = await api.call("create_proxy", body=body, prefer="wait=30")
    assert (proxy.status.state.value, proxy.labels.to_dict()) == ("running", {"tier": "gold"})
    changes = api.model("ProxyPatch", limits={"connections": 5}, labels={"tier": None})
    changed = await api.call("change_proxy", proxy.id, body=changes, prefer="wait=30", if_match=f'"{proxy.version}"')
    assert (changed.limits.connections, changed.labels.to_dict()) == (5, {})
    exported = await api.call("export_proxies", **defaults(api, "export_proxies"))
    assert exported == f"{proxy.host}:{proxy.port}:{proxy.username}:{proxy.password}\n"
    assert (await api.call("check_proxy", proxy.id, body=api.model("CheckRequest"))).ok
    assert await api.call("remove_proxy", proxy.id, prefer="wait=30") is None
    missing = await api.call("show_proxy", proxy.id)
    assert (missing.type_, missing.status) == ("/problems/not-found", 404)


async def test_a_generated_client_makes_changes_and_removes_a_stack(api: Generated):
    body = api.model("NamedStack", count=3, proxy={"location_id": 1})
    stack = await api.call("put_stack", "shop", body=body, prefer="wait=30")
    assert (stack.count, stack.status.running) == (3, 3)
    again = await api.call("put_stack", "shop", body=api.model("NamedStack", count=3, proxy=stack.proxy.to_dict()))
    assert again.version == stack.version
    stack = await api.call("change_stack", stack.id, body=api.model("StackPatch", count=2), prefer="wait=30")
    assert stack.count == 2
    tried = await api.call("remove_stack", stack.id, dry_run=True)
    assert (tried.dry_run, len(tried.removed)) == (True, 2)
    full = await api.call("change_stack", stack.id, body=api.model("StackPatch", count=10_000))
    assert (full.type_, full.wanted) == ("/problems/insufficient-capacity", 9_998)
    assert {share.node_id for share in full.by_node} == {1, 2}
    assert await api.call("remove_named_stack", "shop") is None
    types = [event.type_.value for event in (await api.call("list_events", **defaults(api, "list_events"))).items]
    assert (types.count("proxy.created"), types.count("proxy.deleted"), types[-1]) == (3, 3, "stack.deleted")


async def test_every_list_takes_the_defaults_that_the_client_sends(api: Generated):
    for name in ("links", "locations", "nodes", "proxies", "stacks", "webhooks", "events"):
        page = await api.call(f"list_{name}", **defaults(api, f"list_{name}"))
        assert type(page).__name__.endswith("Page"), page
    assert (await api.call("sum_usage", **defaults(api, "sum_usage"))).next_ is None
    found = await api.call("look_up", ip="127.0.0.1", **defaults(api, "look_up"))
    assert (found.ip, found.next_) == ("127.0.0.1", None)


async def test_a_list_is_followed_to_its_end_by_its_cursor(api: Generated):
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(api.call("create_location", body=api.model("NewLocation", name=f"l{number}")))
    names, after = list[str](), dict[str, Any]()
    while True:
        page = await api.call("list_locations", limit=2, **after)
        names += [location.name for location in page.items]
        if page.next_ is None:
            break
        after = {"after": page.next_}
    assert sorted(names) == ["home", "l0", "l1", "l2", "l3", "l4"]


def defaults(api: Generated, operation_id: str) -> dict[str, Any]:
    """Every parameter that has a default, said explicitly."""
    called: Any = api.module(operation_id)
    parameters = inspect.signature(called.asyncio_detailed).parameters.values()
    empty = (inspect.Parameter.empty, None)
    return {
        one.name: one.default
        for one in parameters
        if one.default not in empty and type(one.default).__name__ != "Unset"
    }
