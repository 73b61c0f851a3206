"""Who caused the steps of a rotation, whichever master takes them and however late."""

import asyncio
from typing import Any

from master.db.database import Database
from master.db.notifications import Notifications
from master.domain.rotation.runner import RotationRunner
from tests.integration.conftest import REQUEST, Api
from tests.integration.domain.rotation.test_rotation import asked
from tests.integration.domain.rotation.test_rotation_schedule import HOURLY, due


async def causes(api: Api, type_: str, count: int) -> dict[int, tuple[str, str | None]]:
    """(actor, request) of events by proxy, once there are so many."""
    items: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while len(items) < count:
            items = (await api.call("GET", f"/events?type={type_}", 200))["items"]
            await asyncio.sleep(0.05)
    return {one["proxy_id"]: (one["actor"], one["request_id"]) for one in items}


async def test_each_step_is_caused_by_the_schedule_link_or_request_that_started_the_rotation(api: Api, rows: Database):
    node = await api.node()
    by_schedule, by_link, by_request = [await api.proxy(node, name=name) for name in ("scheduled", "linked", "asked")]
    await api.call("PATCH", f"/proxies/{by_schedule['id']}", 200, json={"rotation": HOURLY})
    await due(api)
    body = {"kind": "rotate", "filter": {"name": "linked"}, "rotate": {"what": ["port"]}}
    link = await api.call("POST", "/links", 201, json=body)
    await asked(api, by_request, "port")
    await api.call("GET", f"/l/{link['url'].rpartition('/')[2]}", 202)
    caused = {by_link["id"]: (f"link {link['id']}", REQUEST), by_request["id"]: ("api", REQUEST)}
    notifications = Notifications(rows, lambda: None, lambda: None, lambda _: None)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(RotationRunner(rows, notifications, None).run())
        assert await causes(api, "proxy.rotation_begun", 3) == {**caused, by_schedule["id"]: ("schedule", None)}
        await api.report(node, online=False)
        assert await causes(api, "proxy.rotation_failed", 2) == caused
        running.cancel()
