"""How long a rotation waits for its node to confirm the new endpoint."""

from datetime import timedelta
from typing import Any

from master.db.database import Database
from tests.integration.conftest import Api
from tests.integration.domain.rotation.test_rotation import asked, steps

AGO = {
    "rotations": ("deadline", "updated_at"),
    "node_status": ("progressed_at", "reported_at"),
    "nodes": ("sent_at",),
}
HEARD = "UPDATE node_status SET reported_at = now()"


async def begun(api: Api, rows: Database) -> dict[str, Any]:
    """A rotation whose endpoint the node was sent and has not confirmed."""
    rotation = await asked(api, await api.proxy(await api.node()), "credentials")
    await send(api, rows)
    return rotation


async def send(api: Api, rows: Database) -> None:
    for node in await api.rows.fetch("SELECT id, revision FROM nodes"):
        async with rows.session() as session:
            await session.execute(
                "sync.mark_sent", node_id=node["id"], revision=node["revision"], quiet=timedelta(seconds=0)
            )


async def pass_by(api: Api, seconds: int) -> None:
    """So much time, in which nobody does anything."""
    for table, columns in AGO.items():
        assignments = ", ".join(f"{name} = {name} - make_interval(secs => $1)" for name in columns)
        await api.rows.execute(f"UPDATE {table} SET {assignments}", seconds)  # names of ours


async def reason(api: Api) -> str:
    return await api.rows.fetchval("SELECT reason FROM rotation_steps")


async def test_a_node_that_is_heard_and_confirms_nothing_for_thirty_seconds_is_given_up_on(api: Api, rows: Database):
    rotation = await begun(api, rows)
    await pass_by(api, 29)
    await api.rows.execute(HEARD)
    assert await steps(api) == []
    await pass_by(api, 2)
    await api.rows.execute(HEARD)
    assert await steps(api) == [(rotation["id"], "fail")]
    assert "has not confirmed it in time" in await reason(api)


async def test_a_busy_node_that_confirms_one_list_after_the_other_is_waited_for(api: Api, rows: Database):
    rotation = await begun(api, rows)
    for _ in range(10):
        await pass_by(api, 29)
        await api.rows.execute("UPDATE node_status SET reported_at = now(), progressed_at = now()")
        assert await steps(api) == []
    await api.report(1)
    assert await steps(api) == [(rotation["id"], "probe")]


async def test_no_node_is_waited_for_without_end(api: Api, rows: Database):
    rotation = await begun(api, rows)
    await pass_by(api, 631)
    await api.rows.execute("UPDATE node_status SET reported_at = now(), progressed_at = now()")
    assert await steps(api) == [(rotation["id"], "fail")]


async def test_the_time_begins_when_the_node_is_sent_its_list(api: Api, rows: Database):
    rotation = await asked(api, await api.proxy(await api.node()), "credentials")
    await pass_by(api, 60)
    await api.rows.execute(HEARD)
    assert await steps(api) == []
    await send(api, rows)
    assert await steps(api) == []
    await pass_by(api, 31)
    await api.rows.execute(HEARD)
    assert await steps(api) == [(rotation["id"], "fail")]


async def test_lists_that_follow_each_other_do_not_prolong_the_time(api: Api, rows: Database):
    rotation = await begun(api, rows)
    await pass_by(api, 31)
    await send(api, rows)
    await api.rows.execute(HEARD)
    assert await steps(api) == [(rotation["id"], "fail")]


async def test_a_list_that_never_goes_out_is_not_waited_for_without_end(api: Api):
    rotation = await asked(api, await api.proxy(await api.node()), "credentials")
    await pass_by(api, 91)
    await api.rows.execute(HEARD)
    assert await steps(api) == [(rotation["id"], "fail")]
    assert "could not be sent its list" in await reason(api)


async def test_a_silent_node_is_waited_for_until_it_is_heard_or_offline(api: Api, rows: Database):
    rotation = await begun(api, rows)
    await pass_by(api, 40)
    assert await steps(api) == []
    await api.rows.execute("UPDATE node_status SET online = false")
    assert await steps(api) == [(rotation["id"], "fail")]
    assert "is offline" in await reason(api)


async def test_a_scheduled_rotation_of_a_silent_node_is_taken_back_and_waits(api: Api, rows: Database):
    rotation = await begun(api, rows)
    await api.rows.execute("UPDATE rotations SET scheduled = true")
    await pass_by(api, 40)
    assert await steps(api) == [(rotation["id"], "wait")]
