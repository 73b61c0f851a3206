"""/events: one durable log that a reader may follow."""

import asyncio

from master.db.database import Database
from master.domain.events.log import NewEvent, record_events
from tests.integration.conftest import Api
from tests.services.postgres import Database as Address

WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


async def test_events_are_filtered_and_followed_by_their_ids(api: Api):
    first, second = await api.node(), await api.node()
    proxy = (await api.proxy(first))["id"]
    await api.proxy(second)
    found = {"type=proxy.created": 2, f"node_id={first}": 1, f"proxy_id={proxy}": 1, "location_id=5": 0, "after=1": 1}
    for query, count in found.items():
        assert len((await api.call("GET", f"/events?{query}", 200))["items"]) == count


async def test_what_happens_on_a_node_happens_at_its_location(api: Api):
    here = await api.location()
    proxy = (await api.proxy(await api.node(location_id=here)))["id"]
    items = (await api.call("GET", f"/events?location_id={here}", 200))["items"]
    assert [(one["type"], one["proxy_id"]) for one in items] == [("location.created", None), ("proxy.created", proxy)]


async def test_a_type_that_there_is_not_is_refused(api: Api):
    answer = await api.call("GET", "/events?type=proxy.*&type=proxy.flew", 422)
    assert "there is no such event" in answer["detail"]


async def test_pages_of_events_follow_one_another(api: Api):
    for number in range(3):
        await api.location(f"l{number}")
    page = await api.call("GET", "/events?limit=2", 200)
    rest = await api.call("GET", f"/events?limit=2&after={page['next']}", 200)
    assert [one["details"]["name"] for one in page["items"] + rest["items"]] == ["l0", "l1", "l2"]
    assert rest["next"] is None


async def test_no_secret_is_in_an_event(api: Api):
    made = await api.proxy(await api.node(), password="hush1")
    await api.call("PATCH", f"/proxies/{made['id']}", 200, json={"password": "hush2", "username": "hush3"})
    await api.call("DELETE", f"/proxies/{made['id']}", 204)
    assert "hush" not in str(await api.call("GET", "/events", 200))


async def test_a_later_event_never_appears_before_an_earlier_one(api: Api, database: Address):
    own = Database(database.connect)
    began = asyncio.Event()

    async def slow() -> None:
        async with own.transaction() as session:
            await record_events(session, [NewEvent(type="node.online")])
            began.set()
            while not await api.rows.fetchval(WAITS):
                await asyncio.sleep(0.01)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(slow())
        await began.wait()
        group.create_task(api.location())
    assert await api.event_types() == ["node.online", "location.created"]
    await own.close()
