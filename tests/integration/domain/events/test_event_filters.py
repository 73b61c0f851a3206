"""Every filter of the log, in both orders and between ids and times, against the same filter in Python."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from master.domain.events.schemas import FILTERED, TYPES, Event, EventFilter
from tests.integration.conftest import REQUEST, Api

COUNT = 300
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
FILL = """
INSERT INTO events (id, at, type, node_id, proxy_id, stack_id, location_id, actor, request_id)
OVERRIDING SYSTEM VALUE
SELECT
    3 * i, $1::timestamptz + i * interval '1 minute', ($2::text[])[1 + i % 5], NULLIF(i % 4, 0), NULLIF(i % 11, 0),
    NULLIF(i % 3, 0), NULLIF(i % 2, 0), ($3::text[])[1 + i % 3], CASE WHEN i % 7 = 0 THEN 'r' || i % 2 END
FROM generate_series(1, $4::integer) AS i
"""
ACTORS = ["api", "master", "node 1"]


async def filled(api: Api) -> list[Event]:
    """All events, oldest first. Their ids have gaps."""
    await api.rows.execute(FILL, BEGAN, list(TYPES[::9][:5]), ACTORS, COUNT)
    return [
        Event(**{**row, "details": json.loads(row["details"])})
        for row in map(dict, await api.rows.fetch("SELECT * FROM events ORDER BY id"))
    ]


async def ids(api: Api, **query: Any) -> list[int]:
    return [one["id"] for one in (await api.call("GET", "/events", 200, params=query))["items"]]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"type": [TYPES[9]]},
        {"type": ["link.*", TYPES[18], TYPES[27]]},
        {"type": [TYPES[0]], "actor": "master"},
        {"actor": "node 1"},
        {"node_id": 3, "type": ["link.*", TYPES[9]]},
        {"node_id": 3, "actor": "api", "location_id": 1},
        {"proxy_id": 5},
        {"stack_id": 2, "node_id": 1},
        {"location_id": 1, "actor": "nobody"},
        {"request_id": "r1", "actor": "api"},
    ],
    ids=str,
)
async def test_a_filter_finds_the_same_in_both_orders_and_between_any_ids_and_times(api: Api, query: Mapping[str, Any]):
    all_events = await filled(api)
    wanted = EventFilter(frozenset(query.get("type", [])), {name: query[name] for name in FILTERED if name in query})
    found = [event.id for event in all_events if event in wanted]
    since, until = BEGAN + timedelta(minutes=50), BEGAN + timedelta(minutes=200)
    between = [event.id for event in all_events if event in wanted and since <= event.at < until]
    span = {"since": since.isoformat(), "until": until.isoformat(), "limit": 1_000}
    assert await ids(api, **query, limit=1_000) == found
    assert await ids(api, **query, limit=1_000, order="desc") == found[::-1]
    assert await ids(api, **query, **span) == between
    assert await ids(api, **query, **span, order="desc") == between[::-1]
    assert await ids(api, **query, limit=1_000, after=100, before=500) == [id_ for id_ in found if 100 < id_ < 500]


async def test_pages_lead_back_from_the_newest_event_to_the_first(api: Api):
    all_events = await filled(api)
    found: list[int] = []
    page: dict[str, Any] = {"next": 2**62}
    while page["next"] is not None:
        page = await api.call("GET", f"/events?order=desc&limit=70&before={page['next']}", 200)
        found += [one["id"] for one in page["items"]]
    assert found == [event.id for event in reversed(all_events)]


async def test_times_before_the_first_and_after_the_last_event_find_all_or_nothing(api: Api):
    assert await ids(api, since=BEGAN.isoformat()) == []
    await filled(api)
    assert len(await ids(api, since="2000-01-01T00:00:00Z", limit=1_000)) == COUNT
    assert await ids(api, since="2100-01-01T00:00:00Z") == await ids(api, until="2000-01-01T00:00:00Z") == []
    assert len(await ids(api, until="2100-01-01T00:00:00Z", limit=1_000)) == COUNT


async def test_an_event_carries_who_caused_it_and_the_request(api: Api):
    await api.location()
    [event] = (await api.call("GET", f"/events?actor=api&request_id={REQUEST}", 200))["items"]
    assert (event["type"], event["actor"], event["request_id"]) == ("location.created", "api", REQUEST)
    assert "request_id" not in event["details"]


@pytest.mark.parametrize(
    "query", ["order=desc", "before=9", "since=2026-01-01T00:00:00Z", "until=2026-01-01T00:00:00Z"]
)
async def test_a_stream_that_would_have_an_end_is_refused(api: Api, query: str):
    answer = await api.call("GET", f"/events?{query}", 422, headers={"Accept": "text/event-stream"})
    assert answer["errors"][0]["parameter"] == query.partition("=")[0]
