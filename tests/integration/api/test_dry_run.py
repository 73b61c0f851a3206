"""What is only tried out is told as it would be, and leaves no trace."""

import asyncio
from typing import Any

import pytest

from master.db.database import Database
from master.domain.proxies.service import lock_placement
from tests.integration.conftest import Api

TABLES = (
    "cluster locations nodes node_status proxies stacks events idempotency_keys removals rotations schedules endpoints "
    "endpoint_history exit_keys former_proxies taken_ports"
).split()
WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/proxies?", {"node_ids": [1, 2]}),
    ("PATCH", "/proxies/1?", {"protocol": "http"}),
    ("DELETE", "/proxies/1?", None),
    ("PATCH", "/proxies?all=true&expect=5&", {"enabled": False}),
    ("DELETE", "/proxies?node_id=1&expect=3&", None),
    ("POST", "/stacks?", {"name": "other", "count": 3, "proxy": {"node_ids": [1, 2]}}),
    ("PUT", "/stacks/by-name/other?", {"count": 3, "proxy": {"node_ids": [1, 2]}}),
    (
        "PUT",
        "/stacks/by-name/shop?",
        {"count": 6, "proxy": {"node_ids": [1, 2], "rotation": {"every_s": 60, "what": ["port"]}}},
    ),
    ("PATCH", "/stacks/1?", {"count": 1, "proxy": {"protocol": "http"}}),
    ("DELETE", "/stacks/1?", None),
    ("DELETE", "/stacks/by-name/shop?", None),
]


@pytest.fixture
async def fleet(api: Api) -> Api:
    """Two nodes, a stack of four proxies and one proxy more."""
    await api.node()
    await api.node()
    await api.call("POST", "/stacks", 201, json={"name": "shop", "count": 4, "proxy": {"node_ids": [1, 2]}})
    await api.proxy(1)
    return api


async def traces(api: Api) -> dict[str, list[Any]]:
    """Everything that is kept."""
    asked = {table: f"SELECT * FROM {table} ORDER BY 1" for table in TABLES}
    return {name: [tuple(row) for row in await api.rows.fetch(query)] for name, query in asked.items()}


def asked(body: dict[str, Any] | None) -> dict[str, Any]:
    return {"json": body} if body is not None else {}


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_what_is_tried_out_leaves_nothing_behind_and_is_what_is_done_then(
    fleet: Api, method: str, path: str, body: dict[str, Any] | None
):
    before, last = await traces(fleet), await fleet.rows.fetchval("SELECT max(id) FROM events")
    headers = {"Idempotency-Key": "k", "Prefer": "wait=5"}
    told = await fleet.call(method, f"{path}dry_run=true", 200, **asked(body), headers=headers)
    assert await traces(fleet) == before
    assert (await fleet.http.request(method, path, **asked(body))).is_success
    assert tellings(told) == done((await fleet.call("GET", f"/events?after={last}", 200))["items"])


def tellings(told: dict[str, Any]) -> tuple[Any, ...]:
    """What a dry run says."""
    made = [(one["node_id"], one["port"]) for one in told["created"]]
    others = ([one["proxy_id"] for one in told[kind]] for kind in ("changed", "removed"))
    return made, *others, sum(told["events"].values())


def done(events: list[dict[str, Any]]) -> tuple[Any, ...]:
    """The same, as the log has it."""
    made = [(one["node_id"], one["details"]["port"]) for one in events if one["type"] == "proxy.created"]
    others = ([one["proxy_id"] for one in events if one["type"] == f"proxy.{kind}"] for kind in ("updated", "deleted"))
    return made, *others, len(events)


async def test_it_is_told_where_each_would_be_and_how_many_are_where(fleet: Api):
    body = {"name": "other", "count": 3, "proxy": {"node_ids": [1, 2]}}
    assert await fleet.call("POST", "/stacks?dry_run=true", 200, json=body) == {
        "dry_run": True,
        "created": [{"node_id": 2, "port": 20002}, {"node_id": 1, "port": 20003}, {"node_id": 2, "port": 20003}],
        "changed": [],
        "removed": [],
        "by_node": [
            {"node_id": 1, "matched": None, "created": 1, "changed": 0, "removed": 0},
            {"node_id": 2, "matched": None, "created": 2, "changed": 0, "removed": 0},
        ],
        "events": {"proxy.created": 3, "stack.created": 1},
    }


async def test_by_a_filter_each_node_counts_what_matches_and_what_would_change(fleet: Api):
    await fleet.call("PATCH", "/proxies?node_id=1&expect=3", 200, json={"enabled": False})
    told = await fleet.call("PATCH", "/proxies?all=true&expect=5&dry_run=true", 200, json={"enabled": False})
    assert told["by_node"] == [
        {"node_id": 1, "matched": 3, "created": 0, "changed": 0, "removed": 0},
        {"node_id": 2, "matched": 2, "created": 0, "changed": 2, "removed": 0},
    ]


async def test_what_would_be_nothing_is_told_as_such(fleet: Api):
    body = {"count": 4, "proxy": {"node_ids": [1, 2]}}
    told = await fleet.call("PUT", "/stacks/by-name/shop?dry_run=true", 200, json=body)
    assert (told["created"], told["changed"], told["removed"], told["events"]) == ([], [], [], {})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "other", "count": 3, "proxy": {"node_ids": [9]}}, 422),
        ({"name": "other", "count": 3, "proxy": {"node_ids": [1], "exit": {"mode": "ipv6_random"}}}, 409),
    ],
)
async def test_what_would_be_refused_is_refused(fleet: Api, body: dict[str, Any], status: int):
    before = await traces(fleet)
    await fleet.call("POST", "/stacks?dry_run=true", status, json=body)
    assert await traces(fleet) == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/locations", {"name": "x"}),
        ("DELETE", "/nodes/2?proxies=delete", None),
        ("POST", "/stacks/1/rotate", {"what": ["port"]}),
    ],
)
async def test_what_cannot_be_tried_out_is_not_done_either(
    fleet: Api, method: str, path: str, body: dict[str, Any] | None
):
    before = await traces(fleet)
    mark = "&" if "?" in path else "?"
    problem = await fleet.call(method, f"{path}{mark}dry_run=true", 422, **asked(body))
    assert problem["errors"][0]["parameter"] == "dry_run"
    assert await traces(fleet) == before


async def test_a_slip_of_the_pen_does_nothing(fleet: Api):
    before = await traces(fleet)
    for query in ("dryrun=true", "dry_run=perhaps", "dry_run=true&dry_run=true"):
        await fleet.call("DELETE", f"/stacks/1?{query}", 422)
    assert await traces(fleet) == before


async def test_dry_runs_beside_real_writes_make_none_fail_and_use_no_id_twice(fleet: Api):
    made: list[int] = []

    async def make() -> None:
        for _ in range(10):
            made.append((await fleet.proxy(1))["id"])

    async def rehearse(method: str, path: str, body: dict[str, Any]) -> None:
        for _ in range(10):
            await fleet.call(method, f"{path}?dry_run=true", 200, json=body)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(make())
            group.create_task(rehearse("POST", "/proxies", {"node_ids": [1, 2]}))
            group.create_task(rehearse("PATCH", "/proxies/1", {"protocol": "http"}))
            group.create_task(rehearse("PATCH", "/stacks/1", {"count": 5}))
    assert len(set(made)) == 20
    events = (await fleet.call("GET", "/events?type=proxy.created&limit=1000", 200))["items"]
    assert len({event["proxy_id"] for event in events}) == len(events) == 25


@pytest.mark.parametrize(
    ("method", "path", "body"), [("PATCH", "/proxies/1", {"protocol": "http"}), ("DELETE", "/proxies/1", None)]
)
async def test_a_dry_run_waits_for_no_lock_that_the_real_write_does_not_take(
    fleet: Api, rows: Database, method: str, path: str, body: dict[str, Any] | None
):
    async with rows.transaction() as session, asyncio.timeout(10):
        await lock_placement(session)
        await fleet.call(method, f"{path}?dry_run=true", 200, **asked(body))


async def test_a_dry_run_holds_up_no_write_of_another_node(fleet: Api, rows: Database):
    """The same writes at the same time as for real: a proxy of node 2 is made while one of node 1 is rehearsed."""
    async with rows.transaction() as session:
        await session.rows("placement.lock_nodes", ids=[1])
        async with asyncio.TaskGroup() as group, asyncio.timeout(10):
            rehearsal = group.create_task(
                fleet.call("PATCH", "/proxies/1?dry_run=true", 200, json={"protocol": "http"})
            )
            await fleet.proxy(2)
            assert not rehearsal.done()
            rehearsal.cancel()
