"""Lists of rotations, and the times of their steps."""

from datetime import datetime
from typing import Any

from master.db.constraints import writing
from master.db.database import Database
from master.domain.rotation import steps as rotation_steps
from tests.integration.conftest import Api
from tests.integration.domain.rotation.test_rotation import asked, end, fail, succeed

TIMES = ("created_at", "started_at", "probed_at", "switched_at", "ended_at")


async def shown(api: Api, rotation: dict[str, Any]) -> dict[str, Any]:
    return await api.call("GET", f"/rotations/{rotation['id']}", 200)


async def listed(api: Api, query: str = "") -> list[int]:
    return [one["id"] for one in (await api.call("GET", f"/rotations?{query}", 200))["items"]]


def known(rotation: dict[str, Any]) -> list[str]:
    return [name for name in TIMES if rotation[name] is not None]


async def test_each_step_leaves_its_time_in_order(api: Api, rows: Database):
    begun = await asked(api, await api.proxy(await api.node()), "credentials", overlap_s=60)
    assert known(begun) == ["created_at", "started_at"]
    await succeed(rows, begun)
    assert known(await shown(api, begun)) == ["created_at", "started_at", "probed_at", "switched_at"]
    await end(rows, begun)
    done = await shown(api, begun)
    times = [datetime.fromisoformat(done[name]) for name in TIMES]
    assert (known(done), times) == (list(TIMES), sorted(times))


async def test_a_rotation_that_fails_or_waits_again_has_no_time_of_a_step_that_it_did_not_take(
    api: Api, rows: Database
):
    node = await api.node()
    failed, waiting = [await asked(api, await api.proxy(node), "port") for _ in range(2)]
    await fail(rows, failed)
    async with writing(rows) as session:
        await rotation_steps.wait(session, waiting["id"])
    assert known(await shown(api, failed)) == ["created_at", "started_at", "ended_at"]
    assert known(await shown(api, waiting)) == ["created_at"]


async def test_a_move_is_listed_under_both_nodes_and_a_rotation_under_its_own(api: Api):
    home = await api.location()
    one, other = await api.node(location_id=home), await api.node(location_id=home)
    moved = await asked(api, await api.proxy(one), "node")
    stays = await asked(api, await api.proxy(one), "port")
    assert (moved["from_node_id"], moved["to_node_id"]) == (one, other)
    assert (stays["from_node_id"], stays["to_node_id"]) == (one, one)
    assert await listed(api, f"node_id={one}") == [moved["id"], stays["id"]]
    assert await listed(api, f"node_id={other}") == [moved["id"]]
    assert await listed(api, "node=node-2") == [moved["id"]]


async def test_rotations_are_filtered_and_paged_in_either_order(api: Api, rows: Database):
    node = await api.node()
    proxies = [await api.proxy(node) for _ in range(3)]
    ids = [(await asked(api, proxy, "port"))["id"] for proxy in proxies]
    await fail(rows, {"id": ids[1]})
    assert await listed(api, f"proxy_id={proxies[0]['id']}&proxy_id={proxies[2]['id']}") == [ids[0], ids[2]]
    assert await listed(api, "state=failed") == [ids[1]]
    assert await listed(api, "state=starting&state=failed&sort=-id") == ids[::-1]
    assert await listed(api, "since=2040-01-01T00:00:00Z") == []
    first = await api.call("GET", "/rotations?sort=-id&limit=2", 200)
    rest = await api.call("GET", f"/rotations?sort=-id&limit=2&after={first['next']}", 200)
    assert [one["id"] for one in (*first["items"], *rest["items"])] == ids[::-1]
    await api.call("GET", f"/rotations?after={first['next']}", 422)
