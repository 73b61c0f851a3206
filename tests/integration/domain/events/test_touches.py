"""Messages of the stream that are no events: the greeting, and what changed without an event."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from master.db.database import Database
from master.domain.events import log
from master.domain.events.touches import KINDS, TouchedKind, all_proxies_of
from tests.integration.conftest import Api
from tests.integration.domain.events.test_events_stream import happen
from tests.master.api_servers import Master, master
from tests.services.postgres import Database as Address

LISTENS = """SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN.*touched' AND state = 'idle'
)"""


@asynccontextmanager
async def listening(database: Address) -> AsyncGenerator[Master]:
    """A master that hears notifications: when it begins to, everything counts as touched."""
    async with master(database) as one, database.connection() as rows:
        async with asyncio.timeout(20):
            while not await rows.fetchval(LISTENS):
                await asyncio.sleep(0.02)
        yield one


async def touch(rows: Database, kind: TouchedKind, ids: list[int]) -> None:
    async with rows.transaction() as session:
        await log.touch(session, kind, ids)


async def test_a_stream_begins_with_the_newest_event_and_the_time(database: Address):
    async with listening(database) as one:
        await happen(one.rows, 3)
        async with one.stream("after=1") as stream:
            type_, hello = await stream.message()
            assert (type_, hello["last"], stream.last) == ("hello", 3, None)
            assert await stream.ids(2) == [2, 3]
        assert hello["time"].endswith("Z")


async def test_a_touch_reaches_streams_without_a_filter_and_moves_no_position(database: Address):
    async with listening(database) as one, one.stream() as stream, one.stream("type=node.*") as filtered:
        assert [(await each.message())[0] for each in (stream, filtered)] == ["hello", "hello"]
        await touch(one.rows, "nodes", [7, 3])
        assert await stream.message() == ("touched", {"kind": "nodes", "ids": [3, 7]})
        assert stream.last == 0
        await happen(one.rows)
        assert (await filtered.message())[0] == (await stream.message())[0] == "node.updated"


async def test_touches_of_a_second_come_as_one(database: Address):
    async with listening(database) as one, one.stream() as stream:
        await stream.message()
        await touch(one.rows, "nodes", [1])
        assert (await stream.message())[1]["ids"] == [1]
        for id_ in (2, 3, 4):
            await touch(one.rows, "nodes", [id_])
        await touch(one.rows, "proxies", list(range(501)))
        assert await stream.message() == ("touched", {"kind": "nodes", "ids": [2, 3, 4]})
        assert await stream.message() == ("touched", {"kind": "proxies", "ids": None})


async def test_a_report_touches_the_proxies_that_it_confirms_and_their_stacks(api: Api, database: Address):
    node, other = await api.node(), await api.node()
    proxy = (await api.proxy(node))["id"]
    await api.proxy(other)
    body = {"name": "s", "count": 1, "proxy": {"node_ids": [node]}}
    stack = (await api.call("POST", "/stacks", 201, json=body))["id"]
    async with listening(database) as one, one.stream() as stream:
        await stream.message()
        await api.rows.execute("SELECT pg_notify('maybe_reported', $1)", all_proxies_of(node))
        kinds = [(await stream.message())[1] for _ in range(3)]
    assert kinds == [
        {"kind": "nodes", "ids": [node]},
        {"kind": "proxies", "ids": [proxy, proxy + 2]},
        {"kind": "stacks", "ids": [stack]},
    ]


async def test_a_reader_that_was_slow_gets_what_it_missed_as_one_touch(database: Address):
    async with listening(database) as one:
        feed = one.feed.touches
        for id_ in range(3):
            feed._add({"nodes": frozenset({id_})})
        assert feed.after(1) == b'event: touched\ndata: {"kind": "nodes", "ids": [1, 2]}\n\n'
        for _ in range(1_000):
            feed._add({"nodes": frozenset({7})})
        assert len(feed._recent) < 100
        assert feed.after(1).count(b'"ids": null') == len(KINDS)
